"""The fault matrix: what DUET does when links, processes, disks and peers fail."""
