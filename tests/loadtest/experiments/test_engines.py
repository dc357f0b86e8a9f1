"""The table of the engines: the fastest first, what tune picks at its end."""

from loadtest.experiments.engines import summary, variant_name


def test_shares_are_of_the_fastest_in_the_same_round():
    slow, fast = variant_name("A fp32", 1, 2), variant_name("B fp32", 2, 1)
    assert summary({slow: [9.0, 27.0], fast: [10.0, 30.0]}, pick=slow)[1:] == [
        ("B fp32, 2 x 1 threads", "20.0", "1.000"),
        ("A fp32, 1 x 2 threads", "18.0", "0.900"),
        ("what tune picks: A fp32, 1 x 2 threads", "", "0.900"),
    ]
