"""Short simple stories from a small grammar: a hero, a place, a wish or a trouble, a friend, an end."""

from __future__ import annotations

import dataclasses

from prng import Prng

HEROES = (
    "fox bear rabbit mouse cat dog owl hedgehog squirrel frog duck horse cow pig goat sheep wolf deer turtle snail bee ant "
    "butterfly crow sparrow penguin whale dolphin seal elephant lion tiger monkey giraffe zebra camel donkey hamster beaver "
    "badger mole otter robot dragon wizard king queen knight princess giant farmer baker gardener sailor painter teacher boy "
    "girl fisherman tailor shepherd miller snowman ghost fairy troll kitten puppy star cloud train boat lighthouse tree computer"
).split()
NAMES = "Tom Anna Mia Ben Lily Max Nora Sam Ella Finn Ida Leo Rosa Otto Emma Paul Clara Hugo Lena Oskar".split()
KINDS = "little young old brave shy clever kind small curious gentle friendly quiet".split()
PLACES = (
    "at the edge of a forest;near a blue lake;in a quiet village;on a green hill;by the sea;in an old mill;under a big oak;"
    "in a small house;on a farm;behind the mountains;in a warm valley;beside a river;at the end of a long road"
).split(";")
TIMES = "One morning;One evening;One rainy day;One cold winter day;On a sunny day;One night;One day in spring".split(";")
THINGS = "golden key;red ball;small lamp;treasure map;silver bell;warm coat;blue stone;little book;wooden flute;pear;lost ring;letter".split(";")
PEAKS = "the highest hill;the other side of the river;the old tower;the end of the rainbow;the big city;the sea;the moon".split(";")
FEELINGS = "happy;proud;glad;full of joy;very pleased".split(";")
MORALS = (
    "And so {hero} learned that friends make heavy things light.;From that day on {hero} was never afraid again.;"
    "Patience had done what strength could not.;A small kindness had come back as a great one.;"
    "And whenever it rained, they told each other the story again.;Since then {hero} always helps those who are lost.;"
    "That night {hero} slept better than ever before."
).split(";")

# {Hero} begins a sentence; {friend} is another animal; {name} is the hero's name.
PLOTS = (
    "{time} {hero} found a {thing} {place2}. \"Whose may it be?\" asked {name}, and went from door to door. At last a {friend} "
    "cried out with joy, for the {thing} had been lost for a whole year. They shared a cake and became friends.",
    "{time} {hero} wanted to see {peak}. The way was long and the wind was strong, and {name} nearly turned back. Then a {friend} "
    "came along and said: \"Let us go together.\" Step by step they went on, and in the evening they were there.",
    "{time} a storm came and {hero} lost the way home. It was dark, and {name} was afraid. A {friend} heard the crying and held "
    "up a lamp. \"Follow me,\" said the {friend}, and soon the house was in sight.",
    "{time} {hero} heard somebody call for help. A {friend} had fallen into a deep hole and could not get out. {name} ran for a "
    "rope, pulled with all strength, and at last the {friend} was free. \"I will never forget this,\" said the {friend}.",
    "{Hero} could not sleep, because nobody ever came to visit. {time} {name} baked bread and put it on the window. The smell "
    "brought a {friend}, then a second one, and soon the whole house was full of laughing guests.",
    "{time} {hero} and a {friend} had a quarrel about a {thing}. Each of them went home angry. But without the other every game was "
    "dull, so {name} took the {thing} to the {friend} and said: \"It is yours.\" \"No, it is ours,\" said the {friend}.",
    "{Hero} wished to learn how to sing. {time} {name} asked a {friend} for help. They tried it every day, first softly and then "
    "aloud, and in the summer all the neighbours came to listen.",
    "{time} {hero} planted a seed. \"Nothing will come of it,\" said a {friend}, but {name} gave it water every day. In spring there "
    "was a green leaf, and in autumn a tree with a hundred sweet apples, enough for everyone.",
)
STARTS = (
    "Once upon a time there was a {kind} {hero0} named {name}, who lived {place}.",
    "Once there was a {kind} {hero0} who lived {place}. The name of the {hero0} was {name}.",
    "Once upon a time a {kind} {hero0} lived {place}. Everybody called the {hero0} {name}.",
)
ENDS = (
    "{name} was {feeling}. {moral}",
    "Both were {feeling}. {moral}",
    "How {feeling} they were! {moral}",
)


@dataclasses.dataclass(frozen=True)
class Story:
    hero: str
    text: str


def make_story(prng: Prng, hero: str | None = None) -> Story:
    """A story of five to eight sentences about the given hero, or about one of our own choice."""
    animal = hero or prng.pick(HEROES)
    friend = prng.pick([other for other in HEROES[:40] if other != animal])
    slots = {
        "hero0": animal,
        "hero": f"the {animal}",
        "Hero": f"The {animal}",
        "name": prng.pick(NAMES),
        "kind": prng.pick(KINDS),
        "place": prng.pick(PLACES),
        "place2": prng.pick(PLACES),
        "time": prng.pick(TIMES),
        "thing": prng.pick(THINGS),
        "peak": prng.pick(PEAKS),
        "friend": friend,
        "feeling": prng.pick(FEELINGS),
    }
    slots["moral"] = prng.pick(MORALS).format(**slots)
    parts = (prng.pick(STARTS), prng.pick(PLOTS), prng.pick(ENDS))
    return Story(animal, " ".join(part.format(**slots) for part in parts))


def with_article(hero: str, prng: Prng) -> str:
    """"a fox", "an owl", "the fox", "a little fox" or "a fox named Tom"."""
    article = "an" if hero[0] in "aeiou" else "a"
    forms = (f"{article} {hero}", f"{article} {hero}", f"{article} {hero}", f"the {hero}", f"a {prng.pick(KINDS)} {hero}")
    return prng.pick(forms)
