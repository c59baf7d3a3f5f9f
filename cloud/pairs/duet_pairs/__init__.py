"""Released pairs, one directory a pair: manifest, weights, licence and measured figures.

`duet-cloud pairs build NAME` installs one.
"""
