"""The run-time checker of the test suite: beartype, with ints taken where floats are asked for."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
