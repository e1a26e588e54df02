"""A scraper reads what happened, and nobody can make it read more names than there are."""

import pytest
from prometheus_client.parser import text_string_to_metric_families


def samples(served):
    text = served.client.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_batches_and_systems_are_counted(serve):
    served = serve("bm25")
    for _ in range(3):
        served.client.post("/v1/systems/bm25/search", json={"query": "image"})
    served.client.post("/v1/systems/bm25/search", json={"queries": ["image"] * 5})
    served.client.put("/v1/systems/bm25/documents/new", json={"text": "zebra"})
    found = samples(served)
    route = ("route", "/v1/systems/{name}/search")
    assert found[("retrograd_requests_total", ("method", "POST"), route, ("status", "200"))] == 4
    assert found[("retrograd_request_seconds_count", route)] == 4
    system = ("system", "bm25")
    assert found[("retrograd_batch_questions_count", system)] == 4
    assert found[("retrograd_batch_questions_sum", system)] == 8
    assert found[("retrograd_search_seconds_count", system)] == 4
    assert found[("retrograd_generation", system)] == 1
    assert found[("retrograd_documents", system)] == len(served.live("bm25").system.corpus)
    assert found[("retrograd_queue", system)] == 0
    assert found[("retrograd_changes_total", ("action", "put"), system)] == 1
    assert found[("process_open_fds",)] > 0


def test_a_caller_cannot_invent_labels(serve):
    served = serve("bm25")
    for number in range(20):
        served.client.get(f"/nowhere/{number}")
        served.client.request(f"METHOD{number}", "/healthz")
        served.client.get(f"/v1/systems/none-{number}/search", params={"q": "x"})
    text = served.client.get("/metrics").text
    assert "nowhere" not in text
    assert "METHOD" not in text
    assert "none-" not in text


def test_two_servers_do_not_share_figures(serve):
    one, two = serve("bm25"), serve("bm25")
    one.client.get("/healthz")
    key = ("retrograd_requests_total", ("method", "GET"), ("route", "/healthz"), ("status", "200"))
    assert samples(one)[key] == 1
    assert samples(two).get(key) is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer(shared, path):
    assert shared.client.get(path).status_code == 200
