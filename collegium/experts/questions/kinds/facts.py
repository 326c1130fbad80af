"""Facts: capitals, elements, years, people; the rarer ones on higher levels."""

from __future__ import annotations

from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft, short

CAPITALS = {
    1: "France Paris|Italy Rome|Japan Tokyo|Egypt Cairo|Germany Berlin|Spain Madrid|Russia Moscow|"
    "Greece Athens|Austria Vienna|Ireland Dublin|Norway Oslo|Poland Warsaw|Portugal Lisbon|"
    "China Beijing|Cuba Havana|Kenya Nairobi",
    2: "Australia Canberra|Canada Ottawa|Turkey Ankara|Morocco Rabat|Pakistan Islamabad|"
    "Finland Helsinki|Hungary Budapest|Croatia Zagreb|Chile Santiago|Nigeria Abuja|Vietnam Hanoi|"
    "Ukraine Kyiv/Kiev|Bulgaria Sofia|Uruguay Montevideo|Jordan Amman|Latvia Riga",
    3: "Bhutan Thimphu|Suriname Paramaribo|Malawi Lilongwe|Kyrgyzstan Bishkek|Eritrea Asmara|"
    "Vanuatu Port Vila|Botswana Gaborone|Brunei Bandar Seri Begawan|Burundi Gitega|"
    "Turkmenistan Ashgabat|Mauritania Nouakchott|Lesotho Maseru|Tonga Nukualofa/Nuku'alofa|"
    "Togo Lome/Lomé|Comoros Moroni|Palau Ngerulmud",
}
SYMBOLS = {
    1: "oxygen O|hydrogen H|carbon C|nitrogen N|calcium Ca|helium He",
    2: "sodium Na|potassium K|iron Fe|silver Ag|gold Au|lead Pb|tin Sn|mercury Hg",
    3: "tungsten W|antimony Sb|protactinium Pa|hafnium Hf|praseodymium Pr|astatine At|rhenium Re",
}
NUMBERS = {
    1: "How many days are in a leap year?=366|How many sides has a hexagon?=6|"
    "How many legs has a spider?=8|In which year did the Second World War end?=1945|"
    "How many minutes are in a day?=1440|How many letters has the English alphabet?=26",
    2: "In which year did the Berlin Wall fall?=1989|In which year did the French Revolution "
    "begin?=1789|What is the atomic number of carbon?=6|How many teeth has an adult human, wisdom "
    "teeth included?=32|In which year did humans first land on the Moon?=1969|How many squares "
    "has a chessboard?=64|In which year was the Battle of Hastings?=1066",
    3: "In which year was the Peace of Westphalia signed?=1648|What is the atomic number of "
    "tungsten?=74|In which year did Constantinople fall to the Ottomans?=1453|How many bones has "
    "an adult human body, usually?=206|In which year was the Battle of Lepanto?=1571|In which "
    "year did the Meiji Restoration begin?=1868|What is the atomic number of tin?=50",
}
NAMES = {
    1: "Which planet is closest to the Sun?=Mercury|Who wrote Romeo and Juliet?=Shakespeare|"
    "Which ocean lies between Europe and North America?=Atlantic|Which is the largest planet of "
    "the solar system?=Jupiter|Which gas do plants take from the air for photosynthesis?="
    "carbon dioxide/CO2|Which animal is called the king of the jungle?=lion",
    2: "Who wrote Crime and Punishment?=Dostoevsky/Dostoyevsky/Dostoevskij|Who painted Guernica?="
    "Picasso|Which organ makes insulin?=pancreas|Which metal is liquid at room temperature?="
    "mercury|Who formulated the theory of general relativity?=Einstein|Which is the longest river "
    "of South America?=Amazon|Who discovered penicillin?=Fleming",
    3: "Who wrote the novel The Master and Margarita?=Bulgakov|Who first proved that pi is "
    "transcendental?=Lindemann|Which enzyme unwinds DNA during replication?=helicase|Who composed "
    "the opera Boris Godunov?=Mussorgsky/Musorgsky/Moussorgsky|Which particle mediates the strong "
    "interaction?=gluon/gluons|Who wrote The Tale of Genji?=Murasaki|Which strait separates Asia "
    "from North America?=Bering",
}


def draw(random: Random, level: int) -> Draft:
    """A capital, a chemical symbol, a number or a name."""
    kind = random.choices(("capital", "symbol", "number", "name"), (4, 1, 2, 2))[0]
    if kind == "capital":
        country, _, city = random.choice(CAPITALS[level].split("|")).partition(" ")
        text = f"What is the capital of {country}? Reply with its name only."
        return short(text, *city.split("/"))
    if kind == "symbol":
        element, symbol = random.choice(SYMBOLS[level].split("|")).split()
        text = f"What is the chemical symbol of {element}? Reply with the symbol only."
        return Draft(text, symbol, "reference")
    table = NUMBERS if kind == "number" else NAMES
    text, _, right = random.choice(table[level].split("|")).partition("=")
    if kind == "number":
        return Draft(f"{text} {NUMBER_ONLY}", int(right))
    return short(f"{text} Reply with the name only.", *right.split("/"))
