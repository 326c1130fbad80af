"""Words, numbers and sentences in German, French and Spanish."""

from __future__ import annotations

from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft, choice, short, words

NOUNS = {
    "German": "Hund dog|Baum tree|Buch book|Fenster window|Brot bread|Schiff ship|Stuhl chair|"
    "Berg mountain|Pferd horse|Schlüssel key|Brücke bridge|Kirche church|Löffel spoon|Wald forest",
    "French": "chien dog|arbre tree|livre book|fenêtre window|pain bread|bateau boat/ship|"
    "chaise chair|montagne mountain|cheval horse|clé key|pont bridge|église church|forêt forest",
    "Spanish": "perro dog|árbol tree|libro book|ventana window|pan bread|barco boat/ship|"
    "silla chair|montaña mountain|caballo horse|llave key|puente bridge|iglesia church|"
    "bosque forest",
}
TENS = {
    "German": words("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"),
    "Spanish": words("veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa"),
    "French": words("vingt trente quarante cinquante soixante"),
}
ONES = {
    "German": words("ein zwei drei vier fünf sechs sieben acht neun"),
    "Spanish": words("uno dos tres cuatro cinco seis siete ocho nueve"),
    "French": words(
        "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
        "seize dix-sept dix-huit dix-neuf"
    ),
}
MASCULINE = {"Hund": "dog", "Vogel": "bird", "Fisch": "fish", "Fuchs": "fox", "Bär": "bear"}
VERBS = {"sees": ("sieht", "seht"), "eats": ("frisst", "esst"), "carries": ("trägt", "tragt")}
SUBJUNCTIVE = {
    "come": ("vengas", "vienes", "vendrás", "venías"),
    "know it": ("lo sepas", "lo sabes", "lo sabrás", "lo sabías"),
    "go": ("vayas", "vas", "irás", "ibas"),
    "have time": ("tengas tiempo", "tienes tiempo", "tendrás tiempo", "tenías tiempo"),
    "say it": ("lo digas", "lo dices", "lo dirás", "lo decías"),
}
"""The right form first."""
TRIGGERS = {
    "I want you to {}.": "Quiero que {}.",
    "It is important that you {}.": "Es importante que {}.",
    "I doubt that you {}.": "Dudo que {}.",
}


def draw(random: Random, level: int) -> Draft:
    """Level 1 is a word, level 2 a number, level 3 grammar."""
    if level == 1:
        return _word(random)
    if level == 2:
        return _number(random)
    return random.choice((_cases, _subjunctive))(random)


def _word(random: Random) -> Draft:
    language = random.choice(list(NOUNS))
    word, english = random.choice(NOUNS[language].split("|")).split()
    text = f'What is the English word for the {language} word "{word}"? Reply with one word.'
    return short(text, *english.split("/"))


def _number(random: Random) -> Draft:
    language, value = random.choice(list(TENS)), random.randint(21, 99)
    text = f'Which number is "{in_words(language, value)}" in {language}?'
    return Draft(f"{text} {NUMBER_ONLY}", value)


def in_words(language: str, value: int) -> str:
    """A number from 21 to 99."""
    tens, one = divmod(value, 10)
    if language == "French":
        return _french(value)
    word = TENS[language][tens - 2]
    if not one:
        return word
    if language == "German":
        return f"{ONES['German'][one - 1]}und{word}"
    ones = ONES["Spanish"]
    if tens > 2:
        return f"{word} y {ones[one - 1]}"
    return "veinti" + {2: "dós", 3: "trés", 6: "séis"}.get(one, ones[one - 1])


def _french(value: int) -> str:
    """Seventy is sixty-ten and eighty four twenties."""
    ones = ONES["French"]
    if value >= 80:
        rest = value - 80
        return f"quatre-vingt-{ones[rest - 1]}" if rest else "quatre-vingts"
    tens = min(value // 10, 6)
    word, rest = TENS["French"][tens - 2], value - 10 * tens
    if not rest:
        return word
    return f"{word} et {ones[rest - 1]}" if rest in (1, 11) else f"{word}-{ones[rest - 1]}"


def _cases(random: Random) -> Draft:
    """The article tells who does it, whatever the order of the words."""
    one, other = random.sample(list(MASCULINE), 2)
    verb = random.choice(list(VERBS))
    right, wrong = VERBS[verb]
    accusative = f"{other}en" if other == "Bär" else other
    text = f'Which German sentence means "The {MASCULINE[one]} {verb} the {MASCULINE[other]}."?'
    moved = f"{one}en" if one == "Bär" else one
    sentences = [
        f"Den {moved} {right} der {other}.",
        f"Der {one} {right} der {accusative}.",
        f"Den {moved} {right} den {accusative}.",
        f"Der {one} {wrong} den {accusative}.",
    ]
    usual, fronted = f"Der {one} {right} den {accusative}.", f"Den {accusative} {right} der {one}."
    answer = random.choice((usual, fronted))
    return choice(random, text, answer, sentences)


def _subjunctive(random: Random) -> Draft:
    english, forms = random.choice(list(SUBJUNCTIVE.items()))
    asked, spanish = random.choice(list(TRIGGERS.items()))
    text = f'Which Spanish sentence is correct for "{asked.format(english)}"?'
    return choice(random, text, spanish.format(forms[0]), [spanish.format(f) for f in forms[1:]])
