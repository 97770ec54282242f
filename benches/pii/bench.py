"""Columns of five locales: precision, recall and F1 of `lavra scan` beside Presidio's patterns, kind by kind."""

import argparse
import collections
import csv
import json
import os
import pathlib
import subprocess
import sys

import corpus

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOAL = 0.995


def binary():
    if named := os.environ.get("LAVRA_BIN"):
        return named, "LAVRA_BIN"
    for profile in ["release", "debug"]:
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        if (program := target / profile / "lavra").is_file():
            return str(program), profile
    sys.exit("build lavra first: cargo build --workspace --bins")


def write(folder, locale, columns):
    file = folder / f"{locale}.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow([name for name, _, _ in columns])
        lines.writerows(zip(*[values for _, _, values in columns]))
    return file


def by_lavra(program, file):
    before = os.times()
    answer = subprocess.run([program, "scan", str(file), "--format", "json"], capture_output=True, text=True, cwd=file.parent)
    if answer.returncode != 0:
        sys.exit(f"lavra scan {file}: {answer.stderr}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {record["column"]: record["kind"] for record in json.loads(answer.stdout)}, spent


# What Presidio calls our kinds.
ENTITIES = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
    "PHONE_NUMBER": "phone",
    "US_SSN": "us_ssn",
    "US_ITIN": "us_itin",
    "US_PASSPORT": "passport",
    "UK_NHS": "uk_nhs",
    "UK_NINO": "uk_nino",
    "ES_NIF": "es_dni",
    "ES_NIE": "es_dni",
    "IT_FISCAL_CODE": "it_codice_fiscale",
    "IT_VAT_CODE": "eu_vat",
    "IT_PASSPORT": "passport",
    "US_BANK_NUMBER": "bank_account",
    "DATE_TIME": "birth_date",
    "PERSON": "person_name",
    "LOCATION": "address",
}


def presidio():
    """All pattern recognizers it loads by itself for our languages; a tokenizer in the place of a language model."""
    import logging

    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    # The list of domains that is in the package: nothing is fetched while we measure.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    languages = ["en", "es", "it", "de", "fr", "pt"]

    class Blank(SpacyNlpEngine):
        def __init__(self):
            super().__init__(models=[{"lang_code": language, "model_name": "blank"} for language in languages])
            self.nlp = {language: spacy.blank(language) for language in languages}

        def load(self):
            pass

        def is_loaded(self):
            return True

    registry = RecognizerRegistry(supported_languages=languages)
    registry.load_predefined_recognizers(languages=languages)
    from presidio_analyzer import predefined_recognizers

    if nino := getattr(predefined_recognizers, "UkNinoRecognizer", None):
        registry.add_recognizer(nino())
    registry.remove_recognizer("SpacyRecognizer")
    return AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=languages)


LANGUAGES = {"pt_BR": ["pt", "en"], "en_US": ["en"], "es_ES": ["es", "en", "it"], "de_DE": ["de", "en"], "fr_FR": ["fr", "en"]}


def by_presidio(engine, locale, columns, rows):
    """The entity that most cells are, each told its column's name as context; none below half of them."""
    found = {}
    for name, _, values in columns:
        cells, votes = [value for value in values if value][:rows], collections.Counter()
        for cell in cells:
            kinds = {}
            for language in LANGUAGES[locale]:
                for result in engine.analyze(cell, language=language, context=name.split("_"), score_threshold=0.35):
                    if kind := ENTITIES.get(result.entity_type):
                        kinds[kind] = max(kinds.get(kind, 0), result.score)
            if kinds:
                votes[max(kinds, key=kinds.get)] += 1
        best = votes.most_common(1)
        found[name] = best[0][0] if best and best[0][1] * 2 >= len(cells) else None
    return found


class Score:
    def __init__(self):
        self.right, self.wrong, self.missed = collections.Counter(), collections.Counter(), collections.Counter()
        self.told = []

    def take(self, locale, columns, found):
        for name, kind, _ in columns:
            got = found.get(name)
            if got == kind:
                self.right[kind] += kind is not None
                continue
            self.told.append(f"{locale} {name}: {got} instead of {kind}")
            self.missed[kind] += kind is not None
            self.wrong[got] += got is not None

    def line(self, kinds):
        right = sum(self.right[kind] for kind in kinds)
        found = right + sum(self.wrong[kind] for kind in kinds)
        there = right + sum(self.missed[kind] for kind in kinds)
        # Of a kind that it never names there is no precision.
        precision, recall = right / found if found else None, right / there if there else None
        return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def table(title, scores, kinds):
    print(f"\n{title}")
    print(f"{'kind':<20}" + "".join(f"{who + ' P':>12}{'R':>8}{'F1':>8}" for who in scores))
    for kind in [*kinds, None]:
        chosen = [kind] if kind else kinds
        figures = [figure for score in scores.values() for figure in score.line(chosen)]
        cells = "".join(f"{'-' if figure is None else f'{figure:.3f}':>{width}}" for figure, width in zip(figures, [12, 8, 8] * 2))
        print(f"{kind or 'all':<20}{cells}")
    for who, score in scores.items():
        if who == "lavra":
            print("\n".join(score.told) or "lavra: every column is what it is")


def main():
    ask = argparse.ArgumentParser(prog="cargo x bench pii", description=__doc__)
    ask.add_argument("--rows", type=int, default=500, help="rows of each table")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--peer-rows", type=int, default=50, help="cells of each column that Presidio is shown; 0 leaves it out")
    ask = ask.parse_args()
    program, profile = binary()
    folder = ROOT / "target" / "bench-data" / "pii"
    engine = presidio() if ask.peer_rows else None
    print(f"lavra ({profile}) and Presidio's patterns, seed {ask.seed}, {ask.rows} rows a table")
    reached = []
    for named, title in [(True, "columns with the names that people give them"), (False, "the same values in columns c0, c1, …")]:
        place = folder / ("named" if named else "nameless")
        place.mkdir(parents=True, exist_ok=True)
        scores, cpu, size = {"lavra": Score()}, 0.0, 0
        if engine:
            scores["presidio"] = Score()
        for locale, columns in corpus.tables(ask.rows, ask.seed, named):
            file = write(place, locale, columns)
            found, spent = by_lavra(program, file)
            cpu, size = cpu + spent, size + file.stat().st_size
            scores["lavra"].take(locale, columns, found)
            if engine:
                scores["presidio"].take(locale, columns, by_presidio(engine, locale, columns, ask.peer_rows))
        kinds = sorted({kind for _, columns in corpus.tables(1, ask.seed, named) for _, kind, _ in columns if kind})
        table(title, scores, kinds)
        print(f"lavra: {cpu:.2f} CPU-s for {size / 1e6:.1f} MB, starting up five times included")
        reached.append(scores["lavra"].line(kinds)[2])
    print(f"\ncolumn F1 of lavra: {reached[0]:.4f} with names (goal {GOAL}), {reached[1]:.4f} without")
    return 0 if reached[0] >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
