"""What a label file calls a picture finds it, and is never guessed."""

import pytest

from labeling.names import OWN_FOLDERS, Here, find_pictures

KNOWN = [
    ("a/1.jpg", "A"),
    ("b/1.jpg", "B"),
    ("2.png", "C"),
    ("c/2.png", "D"),
    ("deep/in/3.webp", "E"),
    ("4.jpg", "F"),
    ("copy/of/4.jpg", "F"),
    ("5.1", "G"),
    ("figures/6.png", "H"),
    ("7.png", "I"),
    ("sticks/7.png", "J"),
    ("Eight.PNG", "K"),
    ("EIGHT.png", "L"),
    ("figures/Ümlaut (1).png", "M"),
    ("sticks/t_e_n.png", "N"),
    ("sticks/t e n.png", "O"),
    ("figures/Eleven.jpg", "P"),
    ("12.png", "Q"),
    ("figures/12.png", "R"),
    ("sticks/12.png", "S"),
    ("train/13.png", "T"),
    ("sticks/13.png", "U"),
]
HERE = Here(KNOWN, {}, {id_ for name, id_ in KNOWN if name.startswith(OWN_FOLDERS)})


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("a/1.jpg", "A"),
        ("a/1", "A"),
        ("upload/a/1.jpg", "A"),
        ("1.jpg", None),  # two have that name
        ("1", None),
        ("other/1.jpg", None),
        ("2.png", "C"),  # its own name, though c/2.png ends in it
        ("2", None),
        ("upload/2.png", "C"),
        ("3.webp", "E"),
        ("in/3", "E"),
        ("3.jpg", None),  # another picture
        ("other/3.webp", None),
        ("4", "F"),  # one picture under two names
        ("5.1", "G"),
        ("5", None),
        ("missing.jpg", None),
        ("images/6.png", "H"),  # an own drawing in a folder of another tool
        ("images/6", "H"),
        ("figures/6.png", "H"),
        ("images/deep/sticks/7.png", "J"),
        ("12.png", "Q"),
        ("13.png", "T"),
        ("Eight.PNG", "K"),
        ("eight.png", None),
        ("images/ELEVEN.JPG", "P"),
        ("u\u0308mlaut (1).PNG", "M"),  # as macOS writes it
        ("Ümlaut_1.png", "M"),  # as Label Studio uploads it
        ("t_e_n.png", "N"),
        ("T_E N.png", None),
    ],
)
def test_a_name_with_or_without_folders_and_suffix_finds_its_picture(name: str, id_: str | None) -> None:
    assert find_pictures([name], HERE).get(name) == id_


@pytest.mark.parametrize(
    ("name", "tagged", "posed"),
    [
        ("7.png", "I", "J"),
        ("7", "I", "J"),
        ("images/7.png", "I", "J"),
        ("sticks/7.png", "J", "J"),
        ("12.png", "Q", None),  # either of two drawings
        ("train/13.png", "T", "T"),
        ("4.jpg", "F", "F"),
        ("images/6.png", "H", "H"),
    ],
)
def test_joints_are_a_drawings_and_tags_an_imported_pictures_where_both_are_called_so(name: str, tagged: str, posed: str | None) -> None:
    assert find_pictures([name], HERE).get(name) == tagged
    assert find_pictures([name], HERE, {name}).get(name) == posed


def test_several_names_that_fit_one_picture_mean_none_but_its_own_name_does() -> None:
    assert find_pictures(["x/2.png", "y/2.png"], HERE) == {}
    assert find_pictures(["2.png", "y/2.png"], HERE) == {"2.png": "C"}
    assert find_pictures(["4.jpg", "copy/of/4.jpg"], HERE) == {"4.jpg": "F", "copy/of/4.jpg": "F"}
    assert find_pictures(["figures/Eleven.jpg", "eleven.jpg"], HERE) == {"figures/Eleven.jpg": "P"}
    assert find_pictures(["Eleven.jpg", "eleven.jpg"], HERE) == {}
