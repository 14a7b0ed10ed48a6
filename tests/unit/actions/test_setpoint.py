"""Who moved the parameter: foreign changes are told from ours, in every order in which records and answers may come."""

from gateway.actions.adjust import Parameter
from gateway.actions.setpoint import SETTLE_NS, SetPoint

S = 10**9


def setpoint(*values: float) -> SetPoint:
    point = SetPoint(Parameter(name="PressForce", unit="kN", range=(80, 120)))
    for t, value in enumerate(values):
        point.see(value, t * S)
    return point


def test_the_first_value_is_taken_as_given_and_noise_is_no_change() -> None:
    point = setpoint(95.0, 95.02, 95.0)
    assert (point.value, point.t_utc_ns, point.foreign) == (95.0, 2 * S, "")


def test_a_change_by_somebody_else_is_told_and_stays() -> None:
    point = setpoint(95.0, 90.0)
    assert point.foreign == "PressForce went from 95 to 90 kN"
    point.see(95.0, 3 * S)
    assert point.foreign == "PressForce went from 95 to 90 kN"


def test_our_own_change_is_none() -> None:
    point = setpoint(100.0)
    point.request_opened()
    point.see(104.0, 1 * S)  # shown before the answer came
    point.request_ended(value=104.0, also=100.0, until_ns=2 * S + SETTLE_NS)
    point.see(104.0, 3 * S)
    assert point.foreign == ""
    point.see(100.0, 4 * S)
    assert point.foreign == "PressForce went from 104 to 100 kN", "moved back by somebody"


def test_old_values_may_come_in_for_a_while_after_the_answer() -> None:
    point = setpoint(100.0)
    point.request_opened()
    point.request_ended(value=104.0, also=100.0, until_ns=5 * S)
    point.see(100.0, 5 * S)
    assert point.foreign == ""
    point.see(100.0, 5 * S + 1)
    assert point.foreign == "PressForce went from 104 to 100 kN"


def test_with_an_unknown_ending_both_values_are_ours_but_no_third() -> None:
    for last, foreign in ((104.0, False), (100.0, False), (98.0, True)):
        point = setpoint(100.0)
        point.request_opened()
        point.request_ended(value=100.0, also=104.0)
        point.see(100.0, 10 * S)
        point.see(last, 1000 * S)
        assert bool(point.foreign) is foreign, last
    late = setpoint(100.0)
    late.request_opened()
    late.request_ended(value=100.0, also=104.0)
    late.see(104.0, 10 * S)
    late.see(100.0, 11 * S)
    assert late.foreign, "only once"


def test_a_change_during_a_refused_request_is_foreign() -> None:
    point = setpoint(100.0)
    point.request_opened()
    point.see(90.0, 1 * S)
    assert point.foreign == ""
    point.request_ended(value=100.0)
    point.see(90.0, 2 * S)
    assert point.foreign == "PressForce went from 100 to 90 kN"


def test_what_is_no_number_is_not_known() -> None:
    point = setpoint(100.0, float("nan"))
    assert point.value is None
    assert point.foreign == ""
