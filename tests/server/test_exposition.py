"""Prometheus' text format, read with Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parse

from ksmbd.server.exposition import Family, Sample, by, histogram, label, one, text


def test_what_is_written_is_read_the_same() -> None:
    written = [
        Family("up", "gauge", "Whether it is.", one(1)),
        Family("told_total", "counter", "By kind.", by("kind", {"a": 2, "b": 3.5})),
        Family("took_seconds", "histogram", "How long.",
               histogram({"command": "read"}, (0.1, 1.0), (3, 2, 1), 4.25)),
    ]  # fmt: skip
    up, told, took = parse(text(written))
    assert [(s.name, s.labels, s.value) for s in up.samples] == [("up", {}, 1.0)]
    assert [(s.labels["kind"], s.value) for s in told.samples] == [("a", 2.0), ("b", 3.5)]
    assert (took.type, took.documentation) == ("histogram", "How long.")
    assert [(s.name, s.labels.get("le"), s.value) for s in took.samples] == [
        ("took_seconds_bucket", "0.1", 3.0),
        ("took_seconds_bucket", "1.0", 5.0),
        ("took_seconds_bucket", "+Inf", 6.0),
        ("took_seconds_sum", None, 4.25),
        ("took_seconds_count", None, 6.0),
    ]


def test_no_value_of_a_label_leaves_its_quotation_marks() -> None:
    name = 'a"b\\c\nup 7 \udce4'
    (family,) = parse(text([Family("x", "gauge", "X.", [Sample({"share": name}, 1)])]))
    assert [sample.labels["share"] for sample in family.samples] == ['a"b\\c\nup 7 ?']
    assert "\n" not in label(name)
