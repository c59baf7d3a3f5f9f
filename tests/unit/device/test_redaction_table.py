"""What redaction finds, and what it must leave: case by case, as the device's page promises."""

import pytest

from duet_device.privacy.found import Finder
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.redaction import redact


@pytest.fixture(scope="module")
def finders() -> list[Finder]:
    return load_finders(lambda _: None)


FOUND = {
    "cards": [
        ("Card 4111 1111 1111 1111 was charged", "Card [CARD_1] was charged"),
        ("Card 4111\u00a01111\u00a01111\u00a01111.", "Card [CARD_1]."),
        ("Card 4111\u202f1111\u202f1111\u202f1111.", "Card [CARD_1]."),
        ("Card 4111\u20091111\u20071111\u200a1111.", "Card [CARD_1]."),
        ("Card 4111\u20111111\u20111111\u20111111.", "Card [CARD_1]."),
        ("Card 4111-1111-1111-1111, again", "Card [CARD_1], again"),
        ("Card 4111.1111.1111.1111", "Card [CARD_1]"),
        ("Card 4111 1111\n1111 1111", "Card [CARD_1]"),
        ("Card 4111111111111111", "Card [CARD_1]"),
        ("Card 4111\u200b1111\u200b1111\u200b1111", "Card [CARD_1]"),
        ("Card ４１１１ １１１１ １１１１ １１１１", "Card [CARD_1]"),
        ("Amex 3782 822463 10005", "Amex [CARD_1]"),
        ("Mastercard 2223 0031 2200 3222", "Mastercard [CARD_1]"),
    ],
    "accounts": [
        ("Pay to DE89 3704 0044 0532 0130 00 now", "Pay to [IBAN_1] now"),
        ("Pay to DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000 now", "Pay to [IBAN_1] now"),
        ("Pay to DE89\u202f3704\u202f0044\u202f0532\u202f0130\u202f00.", "Pay to [IBAN_1]."),
        ("Pay to de89370400440532013000", "Pay to [IBAN_1]"),
        ("Pay to de89 3704 0044 0532 0130 00 and go", "Pay to [IBAN_1] and go"),
        ("Pay to GB82-WEST-1234-5698-7654-32!", "Pay to [IBAN_1]!"),
        ("Pay to gb82 west 1234 5698 7654 32 or not", "Pay to [IBAN_1] or not"),
        ("IBAN: FR14 2004 1010 0505 0001 3M02 606", "IBAN: [IBAN_1]"),
        ("NO93 8601 1117 947", "[IBAN_1]"),
        ("Mistyped: DE88 3704 0044 0532 0130 00", "Mistyped: [IBAN_1]"),
        ("SSN 536-90-4399", "SSN [SSN_1]"),
        ("SSN 536\u201190\u20114399", "SSN [SSN_1]"),
        ("SSN 536 90 4399", "SSN [SSN_1]"),
        ("BTC 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "BTC [WALLET_1]"),
        ("BTC bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "BTC [WALLET_1]"),
        ("ETH 0x52908400098527886E0F7030069857D2E4169EE7", "ETH [WALLET_1]"),
        ("Account 123456789012, passport C01X00T47", "Account [ID_1], passport [ID_2]"),
        ("Customer number 1000000007", "Customer number [ID_1]"),
        ("Order 3F2504E0-4F89-11D3-9A0C-0305E82C3301", "Order [ID_1]"),
        ("My car is B-AB 1234", "My car is [ID_1]"),
    ],
    "machines": [
        ("Ping 192.168.17.4 and 2001:db8::1", "Ping [IP_1] and [IP_2]"),
        ("Ping 10.0.0.7:8080, 10.0.0.0/8", "Ping [IP_1], [IP_2]"),
        ("Ping fe80::1ff:fe23:4567:890a%eth0.", "Ping [IP_1]."),
        ("MAC 00:1B:44:11:3A:B7", "MAC [MAC_1]"),
        ("MAC 00\u20111B\u201144\u201111\u20113A\u2011B7", "MAC [MAC_1]"),
        ("MAC 001b.4411.3ab7", "MAC [MAC_1]"),
    ],
    "telephones": [
        ("Ring +49 30 901820 or (212) 555-0123.", "Ring [PHONE_1] or [PHONE_2]."),
        ("Ring +49\u00a030\u00a0901820", "Ring [PHONE_1]"),
        ("Ring +49\u201130\u2011901820", "Ring [PHONE_1]"),
        ("My number is 415 555 2671", "My number is [PHONE_1]"),
        ("Call 555-2671 today", "Call [PHONE_1] today"),
        ("Telefon: 030/901820", "Telefon: [PHONE_1]"),
    ],
    "addresses on the net": [
        ("Mail maria.lopez@example.org today", "Mail [EMAIL_1] today"),
        ("Mail otto@acme.internal, please", "Mail [EMAIL_1], please"),
        ("Mail otto@localhost", "Mail [EMAIL_1]"),
        ("Mail <OTTO.K+x@Example.ORG>", "Mail <[EMAIL_1]>"),
        ("Mail otto@bücher.example.", "Mail [EMAIL_1]."),
        ("Mail otto (at) example.org", "Mail [EMAIL_1]"),
        ("Mail otto[at]example[dot]org", "Mail [EMAIL_1]"),
        ("Mail otto at example dot org", "Mail [EMAIL_1]"),
        ("Read https://example.org/a?b=c and example.com", "Read [URL_1] and [URL_2]"),
        ("Open http://intranet/kessler/9.", "Open [URL_1]."),
        ("Open https://jira.corp/browse/OTTO-12, then", "Open [URL_1], then"),
        ("Open (http://localhost:8080/u/otto)", "Open ([URL_1])"),
        ("Open localhost:8080/u/otto", "Open [URL_1]"),
        ("Is wiki.acme.internal down?", "Is [URL_1] down?"),
        ("Is wiki.acme.internal:8443/x down?", "Is [URL_1] down?"),
        ("Copy s3://bucket/otto/tax.pdf!", "Copy [URL_1]!"),
        ("Clone https://otto:geheim@host.example.org", "Clone [URL_1]"),  # pragma: allowlist secret
        ("ssh://otto@10.0.0.7:22/srv", "[URL_1]"),
        ("See [this](https://example.org/a_(b)).", "See [this]([URL_1])."),
        ('{"url": "https://example.org/otto"}', '{"url": "[URL_1]"}'),
        ("Visit www.kessler.example now", "Visit [URL_1] now"),
        ("Visit kessler.photography/otto", "Visit [URL_1]"),
        ("Visit münchen.de", "Visit [URL_1]"),
        ("Look in /home/otto/tax.txt.", "Look in [PATH_1]."),
        ("Look in /Users/otto", "Look in [PATH_1]"),
        (r"Look in C:\Users\otto\tax.txt", "Look in [PATH_1]"),
        (r"Look in \\fileserver\otto\tax.txt", "Look in [PATH_1]"),
        ("Ask @otto_k about it", "Ask [HANDLE_1] about it"),
    ],
    "postal addresses and births": [
        ("Meet at 12 Elm Street, Springfield, IL 62704 at 5", "Meet at [ADDRESS_1] at 5"),
        ("Meet at 12 elm street", "Meet at [ADDRESS_1]"),
        ("Er wohnt Hauptstraße 12, 10115 Berlin", "Er wohnt [ADDRESS_1]"),
        ("Er wohnt Hauptstra\u00dfe\u00a012, 10115\u00a0Berlin", "Er wohnt [ADDRESS_1]"),
        ("Er wohnt Unter den Linden 77", "Er wohnt [ADDRESS_1]"),
        ("Er wohnt Am Markt 3, 10115 Berlin", "Er wohnt [ADDRESS_1]"),
        ("Send it to 10 rue de Rivoli, 75001 Paris", "Send it to [ADDRESS_1]"),
        ("P.O. Box 12, SW1A 1AA", "[ADDRESS_1], [ADDRESS_2]"),
        ("From Springfield, IL 62704 to here", "From [ADDRESS_1] to here"),
        ("My zip code is 62704", "My zip code is [ADDRESS_1]"),
        ("PLZ 10115", "PLZ [ADDRESS_1]"),
        ("I was born on 12 May 1984 in Bonn", "I was born on [BIRTH_1] in Bonn"),
        ("DOB: 1984-05-12", "DOB: [BIRTH_1]"),
        ("geboren am 12.05.1984", "geboren am [BIRTH_1]"),
        ("My birthday is May 5, 1990", "My birthday is [BIRTH_1]"),
    ],
    "names": [
        ("Tell Dr. Smith and Herr Müller", "Tell Dr. [NAME_1] and Herr [NAME_2]"),
        ("Tell Dr. Smith and Herr Mu\u0308ller", "Tell Dr. [NAME_1] and Herr [NAME_2]"),
        ("My colleague Anna likes Anna", "My colleague [NAME_1] likes [NAME_1]"),
        ("I'm Élodie O'Brien-Núñez, hello", "I'm [NAME_1], hello"),
        ("I\u2019m E\u0301lodie O\u2019Brien", "I\u2019m [NAME_1]"),
        ("Was John F. Kennedy tall?", "Was [NAME_1] tall?"),
        ("Is OTTO KESSLER well?", "Is [NAME_1] well?"),
        ("PLEASE CALL OTTO KESSLER NOW", "PLEASE CALL [NAME_1] NOW"),
        ("MR KESSLER called", "MR [NAME_1] called"),
        ("Sign: KESSLER OTTO", "Sign: [NAME_1]"),
        ("Is Kessler, Otto well?", "Is [NAME_1] well?"),
        ("KESSLER, Otto J.", "[NAME_1]"),
        ("Cite Kessler, J. R. on this", "Cite [NAME_1] on this"),
        ("Cite J. R. Kessler on this", "Cite [NAME_1] on this"),
        ("J.R. Kessler wrote it", "[NAME_1] wrote it"),
        ("Ask J. Kessler", "Ask [NAME_1]"),
        ("Dr. J. Kessler agrees", "Dr. [NAME_1] agrees"),
        ("Ludwig van Beethoven wrote", "[NAME_1] wrote"),
        ("Maria Lopez's car", "[NAME_1]'s car"),
        ("Maria\u00a0Lopez came", "[NAME_1] came"),
    ],
    "one person": [
        ("Maria Lopez met Maria and Lopez", "[NAME_1] met [NAME_1] and [NAME_1]"),
        ("MARIA LOPEZ is Maria Lopez", "[NAME_1] is [NAME_1]"),
        ("Maria Lopez is LOPEZ, Maria", "[NAME_1] is [NAME_1]"),
        ("Ms. Lopez, that is Maria Lopez", "Ms. [NAME_1], that is [NAME_1]"),
        ("Zoë Kant knows Zoe\u0308", "[NAME_1] knows [NAME_1]"),
        (
            "Maria Lopez and Maria Kant: whose is it, Maria?",
            "[NAME_1] and [NAME_2]: whose is it, [NAME_3]?",
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("question", "sent"), [case for cases in FOUND.values() for case in cases])
def test_found(question: str, sent: str, finders: list[Finder]) -> None:
    assert redact(question, finders).text == sent


STAYS = [
    # Quantities.
    "A train goes 120 km in 1.5 hours, another 4500 m in 15 minutes. What is 2,000,000 / 3?",
    "Tom has 3 apples. He buys 5 more and gives 2 to his sister. How many has he now?",
    "It costs $1,250,000.00 or 1.250.000,00 EUR or €5 or 1 000 000 yen",
    "It costs 1\u00a0000\u00a0000\u00a0€ or 12\u202f345,67 CHF",
    "At 10:45, 10:45:30 or 22:05 on 3/4 of the days",
    "On 2024-05-01, 05/01/2024, 1.5.2024 and May 1, 2024",
    "From 2019-2024, pages 100-2000, ratio 16:9",
    "3.14159265358979, 2.718281828459045 and 1e10",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
    "The years 2020 2021 2022 2023 2024 2025",
    "10² + 10³ = 1100; ½ of 3¼; x₁ + x₂",
    "Compute it modulo 1000000007, 998244353 or 4294967296.",
    "Is 2147483647 prime? And 1000000000?",
    "Glucose is C6H12O6, sucrose C12H22O11, water H2O",
    "Python 3.12.1.4, version 10.2.0.1, section 4.3.2.1, v1.2.3.4",
    "v1.2.3 of 1.2.3-rc1, kernel 6.8.0-31",
    "f(x) = 3x^2 - 2x + 1 for x in [0, 1]",
    "a[1::2], std::vector, x :: Int, a::b",
    "Room 101, floor 3, B12, A4, Q3, MP3, COVID-19, ISO 9001",
    "She was born in 1984. How old was she in 2000?",
    "4500 - 2671 = 1829, 12-13, 5-4-3",
    "Scores 3:2, 4:1 and 12:30",
    "100000 Euro, 20000 Menschen, 62704 steps",
    # Words.
    "What is the capital of New Zealand, and of the United States?",
    "Is Python faster than Java on Monday? Call obj.method() of numpy.array.",
    "Use np.dot(a, b), Path.home() and plt.show()",
    "In 2024-05-01 NASA spent 1 000 000. What is 1/2 + 3.14159?",
    "NASA, ESA and the USA; NASA ESA JAXA; SELECT NAME FROM USERS WHERE AGE NOT NULL",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "Apples, Pears and Plums; Berlin, Paris, Rome",
    "Tom, Anna and Ben share 12 apples",
    "I need vitamin C. Oranges have it. My plan B. Then go.",
    "The U. S. Army, the U.S. Navy, the D. C. Circuit",
    "I like it.So do you. And e.g. this, i.e. that, z.B. jenes.",
    "Meet at 5 p.m. at home. Look at it, and at us.",
    "@property\ndef f(self): ...",
    "npm i @types/node; 5 @ 3 EUR; a@ b",
    "Either/or, and/or, km/h, 3 m/s, /etc/hosts, ~30",
    r"\frac{1}{2} \\ \alpha + \beta",
    "On the street, 3 lamps of the street, 40 on street level",
    "[NAME_1] met [EMAIL_2]",
    "Why is the sky blue?",
    "It's Monday; don't, won't; O'clock",
    "Unfortunately, it rained. However, we went.",
]


@pytest.mark.parametrize("question", STAYS)
def test_stays(question: str, finders: list[Finder]) -> None:
    assert redact(question, finders).text == question


# What the page says that redaction does not find. A case that is found by now belongs above.
LIMITS = [
    "Does Otto come?",
    "does otto kessler come?",
    "王小明 came",
    "My postcode: it is 10115, in Berlin",
    "10115 Berlin",
    "Open intranet/kessler",
    "Is 555-2671 taken?",
    "The 12th of May 1984 is my day of birth",
    "the mayor of my town",
]


@pytest.mark.parametrize("question", LIMITS)
def test_limits_are_as_documented(question: str, finders: list[Finder]) -> None:
    assert redact(question, finders).text == question


def test_the_table_is_as_long_as_the_page_is() -> None:
    assert sum(map(len, FOUND.values())) + len(STAYS) + len(LIMITS) >= 120
