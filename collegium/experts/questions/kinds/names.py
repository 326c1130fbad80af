"""Names and words that questions are filled with."""

from collegium.experts.questions.base import words

PEOPLE = words(
    "Amir Beate Carla Dmitri Elif Farid Gudrun Hana Ivo Jamila Kofi Lena Marek Noor Otto Petra "
    "Quentin Rosa Samir Tara Ugo Vera Wanda Xenia Yusuf Zora"
)
TOWNS = words("Aldersby Brockfeld Calverton Dunmere Eastholm Fernhagen Greywick Hollinau Istrow")
GOODS = words("pencils lamps mugs chairs notebooks scarves bottles candles baskets stamps")
WORDS = words(
    "amber barrel canyon dagger ember fabric gravel hollow inlet jasmine kernel lantern meadow "
    "nugget orchard pebble quarry raven saddle thistle upland velvet willow yarrow zephyr"
)
MADE_UP = words("blick dax fep gorp kelt lorp mib pliv rasp sorn tove wug zib")
