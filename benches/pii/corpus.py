"""A seeded corpus of tables in five locales: what each column is called, what it holds, and its values.

Names, addresses, telephones, e-mails and cards are Faker's. Numbers that Faker does not make are drawn at random and given
the check digits that python-stdnum, which is nobody's of the two under test, calls valid.
"""

import random
import string

from faker import Faker
from stdnum.br import cnpj, cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.pt import nif

LOCALES = ["pt_BR", "en_US", "es_ES", "de_DE", "fr_FR"]


def digits(rng, count):
    return "".join(rng.choice(string.digits) for _ in range(count))


def valid(rng, module, make):
    """Draws until the number is one; `make` draws once, and gives it with each of its endings."""
    for _ in range(10_000):
        for text in make(rng):
            if module.is_valid(text):
                return text
    raise RuntimeError(f"no number of {module.__name__} in 10,000 draws")


def ended(base, endings):
    return (base + ending for ending in endings)


def endings(rng, length, count):
    base = digits(rng, length)
    return (base + str(n).zfill(count) for n in range(10**count))


def cnh(rng):
    base = [int(c) for c in digits(rng, 9)]
    first = sum(d * w for d, w in zip(base, range(9, 0, -1))) % 11
    less = 2 if first == 10 else 0
    first = 0 if first == 10 else first
    second = sum(d * w for d, w in zip(base, range(1, 10))) % 11
    second = 0 if second == 10 else (second - less) % 11 % 10
    return "".join(map(str, base)) + f"{first}{second}"


def titulo(rng):
    base, state = [int(c) for c in digits(rng, 8)], rng.randint(3, 28)
    first = sum(d * w for d, w in zip(base, range(2, 10))) % 11 % 10
    second = (state // 10 * 7 + state % 10 * 8 + first * 9) % 11 % 10
    return "".join(map(str, base)) + f"{state:02}{first}{second}"


def eleven(rng, start):
    base = start + digits(rng, 10 - len(start))
    rest = sum(int(d) * w for d, w in zip(base, [3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) * 10 % 11
    return base + str(rest % 10)


def fiscal_code(rng):
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(6))
    base = f"{letters}{rng.randint(30, 99)}{rng.choice('ABCDEHLMPRST')}{rng.randint(1, 28):02}H{rng.randint(100, 999)}"
    return (base + c for c in string.ascii_uppercase)


def french(rng):
    base = f"{rng.choice('12')}{rng.randint(30, 99)}{rng.randint(1, 12):02}{rng.randint(1, 19):02}{digits(rng, 6)}"
    return [base + f"{97 - int(base) % 97:02}"]


def spanish(rng):
    if rng.random() < 0.2:
        return valid(rng, nie, lambda r: ended("X" + digits(r, 7), string.ascii_uppercase))
    return valid(rng, dni, lambda r: ended(digits(r, 8), string.ascii_uppercase))


def dotted(text):
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def vat(rng, country):
    if country == "DE":
        from stdnum.de import vat as module

        return "DE" + valid(rng, module, lambda r: ended(str(r.randint(1, 9)) + digits(r, 7), string.digits))
    from stdnum.it import iva

    return "IT" + valid(rng, iva, lambda r: ended(digits(r, 7) + "001", string.digits))


def date(rng, first, last):
    return f"{rng.randint(first, last)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def mac(rng):
    return ":".join(f"{rng.randint(0, 255):02x}" for _ in range(6))


def ordinary(rng):
    """Columns that are nobody's, and look like those that are somebody's."""
    return [
        ("order_number", lambda: str(rng.randint(10_000_000_000, 99_999_999_999))),
        ("reference", lambda: digits(rng, 9)),
        ("batch", lambda: str(rng.randint(1_000_000_000, 9_999_999_999))),
        ("epoch", lambda: str(1_700_000_000 + rng.randint(0, 99_000_000))),
        ("epoch_ms", lambda: str(1_700_000_000_000 + rng.randint(0, 99_000_000_000))),
        ("trace", lambda: str(rng.randint(10**15, 10**16 - 1))),
        ("amount", lambda: f"{rng.uniform(0, 5000):.2f}"),
        ("quantity", lambda: str(rng.randint(1, 500))),
        ("created_at", lambda: date(rng, 2020, 2026) + f"T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00Z"),
        ("due_on", lambda: date(rng, 2020, 2026)),
        ("sku", lambda: f"{rng.choice('ABCDEFGH')}{rng.choice('KLMN')}-{digits(rng, 5)}"),
        ("item_code", lambda: "".join(rng.choice(string.ascii_uppercase) for _ in range(3)) + digits(rng, 6)),
        ("row_id", lambda: f"{digits(rng, 8)}-{digits(rng, 4)}-4{digits(rng, 3)}-8{digits(rng, 3)}-{digits(rng, 12)}"),
        ("status", lambda: rng.choice(["paid", "open", "refused"])),
        ("version", lambda: f"{rng.randint(0, 9)}.{rng.randint(0, 40)}.{rng.randint(0, 9)}"),
        ("weight_kg", lambda: f"{rng.uniform(0, 90):.3f}"),
        ("description", lambda: rng.choice(["blue pen", "grey box", "spare part"]) + f" {rng.randint(1, 99)}"),
    ]


NAMES = {
    "pt_BR": ("nome_completo", "email", "telefone", "endereco", "data_nascimento", "numero_cartao", "ip", "mac", "iban"),
    "en_US": ("full_name", "email", "phone", "address", "birth_date", "card_number", "client_ip", "mac_address", "iban"),
    "es_ES": ("nombre_completo", "correo", "telefono", "direccion", "fecha_nacimiento", "tarjeta", "ip", "mac", "iban"),
    "de_DE": ("nachname", "e_mail", "telefon", "anschrift", "geburtsdatum", "kreditkarte", "ip", "mac", "iban"),
    "fr_FR": ("nom_complet", "courriel", "telephone", "adresse", "date_naissance", "carte_bancaire", "ip", "mac", "iban"),
}


def everywhere(fake, rng, locale):
    name, email, phone, address, birth, card, ip, mac_name, iban = NAMES[locale]
    return [
        (name, "person_name", fake.name),
        (email, "email", fake.email),
        (phone, "phone", fake.phone_number),
        (address, "address", fake.street_address),
        (birth, "birth_date", lambda: date(rng, 1940, 2006)),
        (card, "card", lambda: fake.credit_card_number(card_type=rng.choice(["visa16", "mastercard", "amex"]))),
        (ip, "ip", fake.ipv4),
        (mac_name, "mac", lambda: mac(rng)),
        (iban, "iban", Faker("de_DE").iban if locale in ("pt_BR", "en_US") else fake.iban),
        ("lat_long", "coordinates", lambda: f"{rng.uniform(-60, 60):.6f}, {rng.uniform(-170, 170):.6f}"),
        ("webhook", "url_credentials", lambda: f"https://{fake.user_name()}:{digits(rng, 8)}@{fake.domain_name()}/x"),
        ("secret", "api_key", lambda: "AKIA" + "".join(rng.choice(string.ascii_uppercase + "234567") for _ in range(16))),
        ("cid" if locale == "pt_BR" else "icd10", "icd10", lambda: f"{rng.choice('ABEFGIJKM')}{digits(rng, 2)}.{rng.randint(0, 9)}"),
    ]


def national(fake, rng, locale):
    draw = lambda module, make: lambda: valid(rng, module, make)
    return {
        "pt_BR": lambda: [
            ("cpf", "cpf", lambda: dotted(draw(cpf, lambda r: endings(r, 9, 2))())),
            ("payer_document", "cpf", draw(cpf, lambda r: endings(r, 9, 2))),
            ("cnpj", "cnpj", draw(cnpj, lambda r: ended(digits(r, 8) + "0001", [f"{n:02}" for n in range(100)]))),
            ("pis", "pis", lambda: eleven(rng, rng.choice("12"))),
            ("cnh", "cnh", lambda: cnh(rng)),
            ("titulo_eleitor", "titulo_eleitor", lambda: titulo(rng)),
            ("renavam", "renavam", lambda: eleven(rng, "01")),
            ("placa", "plate", lambda: fake.license_plate()),
            ("cep", "cep", fake.postcode),
            ("conta_corrente", "bank_account", lambda: f"{digits(rng, 4)} {digits(rng, 7)}-{digits(rng, 1)}"),
        ],
        "en_US": lambda: [
            ("ssn", "us_ssn", fake.ssn),
            ("itin", "us_itin", fake.itin),
            ("nhs_number", "uk_nhs", draw(nhs, lambda r: endings(r, 9, 1))),
            ("nino", "uk_nino", lambda: rng.choice("AEHJLM") + "B" + digits(rng, 6) + rng.choice("ABCD")),
            ("passport_number", "passport", lambda: "A" + digits(rng, 8)),
        ],
        "es_ES": lambda: [
            ("dni", "es_dni", lambda: spanish(rng)),
            ("contribuinte", "pt_nif", draw(nif, lambda r: ended(r.choice("1235") + digits(r, 7), string.digits))),
            ("codice_fiscale", "it_codice_fiscale", draw(codicefiscale, fiscal_code)),
            ("partita_iva", "eu_vat", lambda: vat(rng, "IT")),
        ],
        "de_DE": lambda: [
            ("steuer_id", "de_steuer_id", draw(idnr, lambda r: ended(str(r.randint(1, 9)) + digits(r, 9), string.digits))),
            ("ust_id", "eu_vat", lambda: vat(rng, "DE")),
            ("reisepass", "passport", lambda: "C" + digits(rng, 8)),
        ],
        "fr_FR": lambda: [("securite_sociale", "fr_nir", draw(nir, french))],
    }[locale]()


# Kinds that values alone can't tell: any date may be one of birth, any number one of an account or a passport.
NEED_A_NAME = {"birth_date", "bank_account", "passport"}


def tables(rows, seed, named=True):
    """`(locale, [(column, kind or None, values)])`; without names, kinds that need one are left out."""
    for place, locale in enumerate(LOCALES):
        Faker.seed(seed + place)
        fake, rng = Faker(locale), random.Random(seed + place)
        personal = everywhere(fake, rng, locale) + national(fake, rng, locale)
        columns = [(name, kind, make) for name, kind, make in personal if named or kind not in NEED_A_NAME]
        columns += [(name, None, make) for name, make in ordinary(rng)]
        made = []
        for at, (name, kind, make) in enumerate(columns):
            # One value in twenty is missing, as it is in life.
            values = [make() if rng.random() > 0.05 else "" for _ in range(rows)]
            made.append((name if named else f"c{at}", kind, [value.replace("\n", " ") for value in values]))
        yield locale, made
