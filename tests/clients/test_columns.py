"""Text in columns."""

from poseclient.columns import columns


def test_the_first_columns_are_aligned_to_the_left_and_the_others_to_the_right():
    rows = [("network", "", "ms"), ("few", "a", "1.5"), ("many", "bc", "12.0")]
    assert columns(rows, left=2).splitlines() == ["network        ms", "few      a    1.5", "many     bc  12.0"]
