"""RecBole's atomic files: types come from the header, and what does not fit is named."""

from pathlib import Path

import pytest

from retrograd.data.recbole import read_atomic, read_inter, read_items, read_users
from retrograd.errors import InputError
from retrograd.types import Document, History


def test_each_type_of_column_is_read_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.item"
    path.write_text("a:token\tb:token_seq\tc:float\td:float_seq\nx y\tp q\t1.5\t1 2\n")
    row = {"a": "x y", "b": ("p", "q"), "c": 1.5, "d": (1.0, 2.0)}
    assert list(read_atomic(path)) == [(2, row)]


def test_items_users_and_interactions_are_read(tmp_path: Path) -> None:
    (tmp_path / "ml.item").write_text(
        "item_id:token\tmovie_title:token_seq\tyear:float\n1\tToy Story\t1995\n"
    )
    (tmp_path / "ml.user").write_text("user_id:token\tage:float\nu\t30\n")
    (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nu\t1\t5\n")
    items = read_items(tmp_path / "ml.item")
    assert list(items) == [Document("1", "", "Toy Story", {"year": 1995.0})]
    assert read_users(tmp_path / "ml.user") == {"u": {"age": 30.0}}
    assert read_inter(tmp_path / "ml.inter", items=items.row_of).histories() == [History("u", ("1",))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("user_id\titem_id:token\nu\t1\n", "ml.inter:1: column 'user_id' must read name:type"),
        ("user_id:token\titem_id:int\nu\t1\n", "ml.inter:1: column 'item_id:int' must read name:type"),
        ("user_id:token\trating:float\nu\t1\n", "ml.inter:1: column 'item_id' is missing"),
        ("user_id:token\tuser_id:float\nu\t1\n", "ml.inter:1: the header names a column twice"),
        ("user_id:token\titem_id:token\tx:float\nu\t1\tnan\n", "ml.inter:2: x 'nan' is not a finite number"),
        ("user_id:token\titem_id:token\nu\tz\n", "ml.inter:2: item 'z' does not exist"),
        ("user_id:token\titem_id:token\nu\t1\t2\n", "ml.inter:2: 3 columns where the header has 2"),
        ("user_id:token\titem_id:token\n", "ml.inter:1: no row follows the header"),
    ],
)
def test_a_faulty_file_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "ml.inter"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_inter(path, items={"1"})
    assert reason in str(caught.value)


def test_an_item_that_occurs_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ml.item"
    path.write_text("item_id:token\n1\n1\n")
    with pytest.raises(InputError, match=r"ml\.item:3: item id '1' occurs twice, first on line 2"):
        read_items(path)
