"""bench/large_folder.py: each question is one that the server has an answer to."""

from __future__ import annotations

from bench import large_folder
from bench.large_folder import Answer
from ksmbd.wire.status import NtStatus
from tests.support.client import ready
from tests.support.engine import Engine, give_to_joe

EXPECTED = {
    "search for a*, which nothing matches": NtStatus.NO_SUCH_FILE,
    "open a name that is not there": NtStatus.OBJECT_NAME_NOT_FOUND,
}


def test_the_questions_are_answered(engine: Engine) -> None:
    folder = engine.folder / large_folder.FOLDER
    folder.mkdir()
    for number in range(30):
        path = folder / f"entry {number:07}"
        path.touch()
        give_to_joe(path)
    give_to_joe(folder)
    client = ready(engine)
    asked = 0
    for question, first, again in large_folder.questions(client, 30):
        expected = EXPECTED.get(question, NtStatus.SUCCESS)
        assert [client.status(first), client.status(again)] == [expected] * 2, question
        asked += 1
    assert asked == 7
    assert large_folder.whole(client) > 0


def test_an_answer_is_a_row() -> None:
    table = large_folder.markdown([Answer("what?", 1234.5, 0.25)])
    assert "| what? | 1,234.5 ms | 0.2 ms |" in table
