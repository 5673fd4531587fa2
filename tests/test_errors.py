"""Errors as one line."""

from urllib.error import URLError

from lthray.errors import InputError, first_line, last_line


def test_a_line_of_an_error():
    several = ValueError("\n 1 error: \n\n see there \n")
    assert (first_line(several), last_line(several)) == ("1 error:", "see there")
    assert first_line(KeyboardInterrupt()) == last_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert first_line(URLError(ConnectionRefusedError(111, "Connection refused"))) == "[Errno 111] Connection refused"


def test_the_user_s_mistake_is_one_line_whatever_was_found():
    assert str(InputError("name: found 'a\nb\x1b[31m',\n but")) == "name: found 'a b [31m', but"
