import re
from importlib.resources import files

import pytest

from genga import tags
from genga.errors import DataError


def test_columns_are_every_value_of_every_group_and_then_the_flags() -> None:
    columns = tags.columns()
    assert columns[0] == "hair_color=blonde"
    assert columns[-len(tags.flags()) :] == tags.flags()
    assert len(columns) == len(set(columns)) == sum(map(len, tags.groups().values())) + len(tags.flags())


def test_slices_cut_the_columns_into_groups_and_flags() -> None:
    columns, slices = tags.columns(), tags.column_slices()
    assert list(slices) == [*tags.groups(), *tags.flags()]
    for name, values in tags.groups().items():
        assert columns[slices[name]] == [f"{name}={value}" for value in values]
    for flag in tags.flags():
        assert columns[slices[flag]] == [flag]


def test_the_names_that_other_parts_rely_on_are_there() -> None:
    assert {"hair_color", "hair_length", "eye_color", "skin_tone"} <= tags.groups().keys()
    assert {"glasses", "smile", "open_mouth", "blush"} <= set(tags.flags())
    assert set(tags.ordered()) <= tags.groups().keys()


def test_a_column_says_what_its_label_is() -> None:
    assert tags.labels_of("hair_color=blue") == {"hair_color": "blue"}
    assert tags.labels_of("glasses") == {"glasses": True}


@pytest.mark.parametrize(
    ("found", "wrong", "said"),
    [
        (", white, orange]", ", white]", r"danbooru has the word `orange_hair: hair_color=orange`, and hair_color=orange is no tag; take that out"),
        (" bangs,", "", "danbooru has the word `bangs: bangs`, and bangs is no tag"),
        ("  skin_tone:.*\n", "", "ordered: skin_tone is no group; take it out there"),
        ("(?<=skin_tone: ).*", "[pink, violet]", "animeface_character has the word `white_skin: pale`, and pale is no tag"),
        ("hair: hair_color, eyes", "hair: hair_colour, eyes", "faces96 has the column `hair: hair_colour`, and hair_colour is no group and no flag"),
        ("smile, open_mouth", "smile, smile", "flags: smile stands there twice"),
        ("smile, open_mouth", "smile, hair_length", "groups and flags: hair_length stands there twice"),
        ("pale, fair", "no, fair", "skin_tone: False is no word without spaces and =; write another, or put quotes around"),
        ("pale, fair", "very pale, fair", "skin_tone: 'very pale' is no word without spaces"),
        ("  hair_color: .*\n", "", "groups: hair_color is gone, by which labeling/projects.py knows"),
        (r"\[short, medium, long\]", "[short]", "groups: hair_length has 1 values, expected 2 or more"),
        ("\nflags: .*", "\nflags: 5", r"cannot be read \(.*\), expected sections as git has them"),
        ("ordered: .*\n", "", r"cannot be read \('ordered'\)"),
        ("\nflags: .*", "\nflags: [", "cannot be read .*while parsing"),
    ],
)
def test_a_line_that_leads_nowhere_is_named(found: str, wrong: str, said: str) -> None:
    text = (files("genga") / "tags.yaml").read_text()
    changed = re.sub(found, wrong, text, count=1)
    assert changed != text
    with pytest.raises(DataError, match=rf"^genga/tags\.yaml:? .*{said}"):
        tags.parse_document(changed)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (["file", "hair", "eyes"], "faces96"),
        (["file", "hair_class", "skin_class"], "animeface_character"),
        (["Filename", "Hair_Color", "Skin_Color"], "animeface_character"),
        (["id", "tags"], "danbooru"),
        (["id", "tag_string", "rating"], "danbooru"),
        (["file", "hair_color", "hair_length", "glasses"], "genga"),
    ],
)
def test_a_table_is_read_first_with_the_vocabulary_that_knows_most_of_its_columns(header: list[str], name: str) -> None:
    assert tags.vocabularies_for(header)[0].name == name


def test_a_table_of_other_things_has_no_vocabulary() -> None:
    assert tags.vocabularies_for(["x", "y", "width"]) == []


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        ({"hair_color": "Blond", "eyes": "red"}, {"hair_color": "blonde", "eye_color": "red"}),
        ({"hair_color": "blue", "hair_length": "long", "glasses": "1"}, {"hair_color": "blue", "hair_length": "long", "glasses": True}),
        ({"glasses": "No", "smile": "true", "blush": "maybe", "bangs": ""}, {"glasses": False, "smile": True}),
        ({"hair": "red", "eyes": "blue", "hair_color": "green"}, {"hair_color": "red", "eye_color": "blue"}),
        ({"glasses": "0.97", "blush": "1.0", "hair_color=blue": "0.9"}, {}),
    ],
)
def test_every_vocabulary_that_knows_a_column_reads_it_and_the_one_that_knows_most_is_right(row: dict[str, str], labels: tags.Labels) -> None:
    assert tags.translate(tags.vocabularies_for(list(row)), row).labels == labels


def test_faces96_rows_become_hair_and_eyes() -> None:
    vocabulary = tags.vocabularies()["faces96"]
    assert vocabulary.translate({"file": "1.jpg", "hair": "Blue", "eyes": "aqua"}).labels == {"hair_color": "blue", "eye_color": "aqua"}
    assert vocabulary.translate({"file": "1.jpg", "hair": "rainbow", "eyes": ""}).labels == {}


@pytest.mark.parametrize("eyes", ["eyes", "eye", "eye_color"])
@pytest.mark.parametrize(
    ("cell", "hair_color", "eye_color"),
    [
        ("grey", "gray", "gray"),
        ("violet", "purple", "purple"),
        ("Light blue", "aqua", "aqua"),
        ("yellow", "blonde", "yellow"),
        ("white", "white", None),
    ],
)
def test_a_colour_is_read_alike_of_hair_and_of_eyes(eyes: str, cell: str, hair_color: str, eye_color: str | None) -> None:
    expected = {"hair_color": hair_color} | ({"eye_color": eye_color} if eye_color else {})
    rows = [{"hair": cell, eyes: cell}, {"hair": f"{cell} hair", eyes: f"{cell} eyes"}]
    assert [tags.translate(tags.vocabularies_for(list(row)), row).labels for row in rows] == [expected, expected]


def test_animeface_character_words_become_ours() -> None:
    vocabulary = tags.vocabularies()["animeface_character"]
    assert vocabulary.translate({"hair": "Light Blue", "skin": "tanned"}).labels == {"hair_color": "aqua", "skin_tone": "tan"}
    assert vocabulary.translate({"hair": "silver"}).labels == {"hair_color": "gray"}


def test_danbooru_tags_become_groups_and_flags() -> None:
    vocabulary = tags.vocabularies()["danbooru"]
    found = vocabulary.translate({"tags": "1girl silver_hair long_hair :d glasses unknown_thing"}).labels
    yes = {"smile": True, "open_mouth": True, "glasses": True}
    assert found == {"hair_color": "gray", "hair_length": "long"} | dict.fromkeys(tags.flags(), False) | yes


def test_tags_are_parted_by_commas_where_there_are_commas() -> None:
    vocabulary = tags.vocabularies()["danbooru"]
    assert vocabulary.translate({"tags": "1girl, tan lines, red ribbon"}).labels == {}
    found = vocabulary.translate({"tags": "1girl,  Blue hair, long_hair , dark-skinned  female, hairclip,"}).labels
    said = {"hair_color": "blue", "hair_length": "long", "skin_tone": "dark", "hair_ornament": True}
    assert {name: value for name, value in found.items() if value is not False} == said


def test_a_list_of_danbooru_tags_without_one_of_ours_says_nothing() -> None:
    assert tags.vocabularies()["danbooru"].translate({"tags": "1girl solo"}).labels == {}


def test_several_values_of_a_group_leave_it_unknown() -> None:
    found = tags.vocabularies()["danbooru"].translate({"tags": "black_hair blonde_hair long_hair very_long_hair blue_eyes"}).labels
    assert {name: found[name] for name in tags.groups() if name in found} == {"hair_length": "long", "eye_color": "blue"}


def test_the_exact_word_counts_and_not_the_one_that_it_contains() -> None:
    found = tags.vocabularies()["danbooru"].translate({"tags": "blue_hair light_blue_hair brown_eyes"}).said
    assert found == {"hair_color": "aqua", "eye_color": "brown"}


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("hair_ornament star_hair_ornament", "hair_ornament"),
        ("ribbon neck_ribbon", "hair_ornament"),
        ("blush light_blush", "blush"),
        ("smile, evil smile", "smile"),
    ],
)
def test_a_flag_stays_a_yes_beside_a_more_exact_word(words: str, flag: str) -> None:
    assert tags.vocabularies()["danbooru"].translate({"tags": words}).labels[flag] is True


def test_a_flag_that_one_list_leaves_out_is_a_yes_where_another_names_it() -> None:
    one, other = (tags.vocabularies()["danbooru"].translate({"tags": words}) for words in ("blue_hair", "glasses red_hair"))
    for told in (one.over(other), other.over(one)):
        assert told.labels["glasses"] is True and told.labels["smile"] is False
    assert (one.over(other).labels["hair_color"], other.over(one).labels["hair_color"]) == ("blue", "red")


@pytest.mark.parametrize("number", ["0", "1", "0.0", "1.0"])
def test_what_a_tagger_s_row_does_not_name_is_unknown_and_its_numbers_are_probabilities(number: str) -> None:
    row = {"file": "a.png", "tags": "blue_hair bangs", "version": "tagger/3", "smile": number, "hair_length": "long"}
    labels = {"hair_color": "blue", "bangs": True, "hair_length": "long"}
    assert tags.translate(tags.vocabularies_for(list(row)), row).labels == labels
    by_hand = tags.translate(tags.vocabularies_for(list(row)), row | {"version": "2"})
    assert by_hand.labels["glasses"] is False and by_hand.labels["bangs"] is True
    assert tags.translate(tags.vocabularies_for(list(row)), row | {"smile": "no"}).labels == labels | {"smile": False}


def test_known_labels_pass_the_check() -> None:
    labels: tags.Labels = {"hair_color": "blue", "glasses": False}
    assert tags.check(labels) == labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"hair_color": "rainbow"}, "hair_color is 'rainbow', expected one of blonde"),
        ({"wings": True}, "unknown tag 'wings'"),
        ({"glasses": "yes"}, "glasses is 'yes', expected true or false"),
    ],
)
def test_labels_that_are_not_in_the_file_are_refused_by_name(labels: tags.Labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tags.check(labels)
