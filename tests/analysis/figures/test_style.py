from lthray.analysis.figures import style


def test_ticks_are_rounds_own_and_apart():
    percents = [100 * 0.8**number for number in range(21)]
    ticks = style.weight_ticks(percents)
    assert [style.percent_label(tick) for tick in ticks] == ["100", "51.2", "26.2", "13.4", "6.9", "3.5", "1.8"]
    assert style.weight_ticks([100.0]) == [100]
    assert style.weight_ticks([100.0, 80.0]) == [100, 80]
    assert [style.percent_label(value) for value in (0.515, 2.0)] == ["0.52", "2"]


def test_many_values_stay_apart():
    looks = style.styles("epsilon", [value / 10 for value in range(9)])
    assert len(set(looks.values())) == 9
    assert style.styles("strategy", ["reset", "late"])["reset"] == style.styles("strategy", ["reset"])["reset"]
