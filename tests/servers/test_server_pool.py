"""Several servers, one catalogue: every item once, whatever happens to the servers.

What happens when is said by events (`FakeComfy.until`, `during`), never by how long something takes.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest
from fake_comfyui import SOON

from ladivton_core.batch.comfyui.pool import NoServer
from ladivton_core.batch.comfyui.server import FOLDER, InputFile, Order, parse_host

OUT_OF_MEMORY = {"exception_type": "torch.OutOfMemoryError", "exception_message": "Allocation on device 0 failed"}
BAD_INPUT = {"exception_type": "ValueError", "exception_message": "nobody is in the photo"}


def once(made, count: int) -> None:
    """Every item has one outcome."""
    assert Counter(one.order.item for one in made) == Counter({f"item {i}": 1 for i in range(count)})


def killed(run, pool) -> None:
    """Leave a run as a driver does that is killed: nothing of it goes on."""
    run.close()
    for thread in threading.enumerate():
        if thread.name in pool.made:
            thread.join(SOON)
            assert not thread.is_alive()


def test_every_item_is_made_once_and_no_queue_is_longer_than_allowed(start, pool, orders):
    all_at_work = threading.Barrier(3)

    def during(server, item):
        if not server.made:  # no server is so quick that another gets nothing
            all_at_work.wait(SOON)

    servers = [start(during=during) for _ in range(3)]
    run = pool(servers)
    made = list(run.run(orders(30)))
    once(made, 30)
    assert not any(one.error for one in made) and all(one.picture for one in made)
    assert sum(run.made.values()) == 30 and run.aside == {}
    for server in servers:
        assert server.crowd <= 2
        assert run.made[server.url] == len(server.made) > 0
        assert max(Counter(server.uploads).values()) == 1  # one upload a file, whoever wears it
        assert all(name.startswith(f"{FOLDER}/") for name in server.uploads)
    assert {round(one.seconds, 2) for one in made} == {0.25}  # the server's own clock


def test_a_file_that_is_there_already_is_kept(start, pool, orders):
    server = start()
    list(pool([server]).run(orders(2)))
    first = dict(server.inputs)
    server.inputs = dict.fromkeys(first, b"somebody else's")
    made = list(pool([server]).run(orders(3)))
    assert not any(one.error for one in made)
    assert all(server.inputs[name] == b"somebody else's" for name in first)
    assert all(name in server.inputs.values() for name in first.values())  # under names of their own


def test_a_server_that_nobody_answers_at_is_put_aside(start, pool, orders, nobody):
    server = start()
    run = pool([nobody, server])
    made = list(run.run(orders(6)))
    once(made, 6)
    assert {one.server for one in made} == {server.url}
    assert "nobody answers there" in run.aside[nobody]


def test_what_a_dying_server_had_goes_to_the_others(start, pool, orders):
    def dies(server, item):
        if len(server.made) == 3:
            server.until(lambda: server.fetched == 3)
            server.close()

    dying = start(during=dies)
    other = start(during=lambda *_: dying.gone.wait(SOON))  # or it might have made everything by then
    run = pool([dying, other])
    made = list(run.run(orders(20)))
    once(made, 20)
    assert not any(one.error for one in made)
    assert set(run.aside) == {dying.url}
    assert run.made == {dying.url: 3, other.url: 17}
    assert len(dying.posted) > 3  # it had more than it made


def test_a_server_that_comes_back_is_used_again(start, pool, orders):
    first = start(during=lambda server, item: len(server.made) < 4 or server.gone.wait(SOON))
    run, seen = pool([first], give_up=SOON), []
    for one in run.run(orders(10)):
        seen.append(one)
        if len(seen) == 4:
            port = first.http.server_port
            first.close()
            again = start(port=port)
    once(seen, 10)
    assert not any(one.error for one in seen)
    assert len(again.made) == 6 and run.aside == {}


def test_a_driver_that_was_killed_takes_what_servers_made_meanwhile(start, pool, orders):
    meanwhile = threading.Event()
    server = start(during=lambda server, item: len(server.made) < 2 or meanwhile.wait(SOON))
    first = pool([server], most=3)
    run = first.run(orders(8))
    got = {next(run).order.item for _ in range(2)}
    server.until(lambda: len(server.posted) == 5)
    killed(run, first)
    meanwhile.set()
    left = [order for order in orders(8) if order.item not in got]
    made = list(pool([server], most=3).run(left))
    assert {one.order.item for one in made} | got == {f"item {i}" for i in range(8)}
    assert Counter(server.posted) == Counter(server.made) == Counter(f"item {i}" for i in range(8))
    assert {one.order.item for one in made if one.taken} == set(server.posted[:5]) - got


def test_what_a_server_made_for_a_killed_driver_is_not_made_by_another(start, pool, orders):
    meanwhile = threading.Event()
    during = lambda server, item: len(server.made) < 2 or meanwhile.wait(SOON)  # noqa: E731
    servers = [start(during=during) for _ in range(3)]
    first = pool(servers, most=3)
    run = first.run(orders(20))
    got = {next(run).order.item for _ in range(4)}
    for server in servers:
        server.until(lambda server=server: len(server.posted) == 5)
    killed(run, first)
    meanwhile.set()
    left = [order for order in orders(20) if order.item not in got]
    again = pool(servers, most=3)
    for server in again.servers:
        server.check()  # as an engine does before anything starts
    made = list(again.run(left))
    assert {one.order.item for one in made} == {order.item for order in left}
    assert Counter(item for server in servers for item in server.posted) == Counter(order.item for order in orders(20))
    assert sum(one.taken for one in made) == 3 * 5 - 4


def test_another_workflow_value_or_file_takes_nothing_over(start, pool, orders):
    server = start()
    (first,) = pool([server]).run(orders(1))
    (order,) = orders(1)
    other_seed = Order(order.item, order.workflow, order.files, {**order.values, "seed": 8})
    other_file = Order(
        order.item, order.workflow, {**order.files, "person": InputFile("people/ann.png", lambda: b"bo")}, order.values
    )
    other_item = Order("somebody", order.workflow, order.files, order.values)
    assert [one.taken for one in pool([server]).run([order])] == [True]
    for changed in (other_seed, other_file, other_item):
        assert [one.taken for one in pool([server]).run([changed])] == [False]


def test_a_bad_input_is_an_error_with_node_and_words_and_is_not_tried_again(start, pool, orders):
    servers = [start(fails=lambda _, item: BAD_INPUT if item == "item 2" else None) for _ in range(2)]
    made = list(pool(servers).run(orders(5)))
    once(made, 5)
    (bad,) = (one for one in made if one.error)
    assert bad.order.item == "item 2" and bad.error == "node 3 (Dress): nobody is in the photo"
    assert sum(server.posted.count("item 2") for server in servers) == 1


def test_an_error_is_not_taken_from_the_history(start, pool, orders):
    server = start(fails=lambda *_: BAD_INPUT)
    assert [bool(one.error) for one in pool([server]).run(orders(1))] == [True]
    server.fails = None
    assert [one.error for one in pool([server]).run(orders(1))] == [""]


def test_out_of_memory_here_is_tried_elsewhere(start, pool, orders):
    small = start(fails=lambda *_: OUT_OF_MEMORY)
    large = start(during=lambda *_: small.until(lambda: len(small.posted) >= 3))
    run = pool([small, large], longest_wait=60.0, first_wait=60.0)
    made = list(run.run(orders(12)))
    once(made, 12)
    assert not any(one.error for one in made) and {one.server for one in made} == {large.url}
    assert "3 runs in a row failed there" in run.aside[small.url]
    assert len(small.posted) <= 2 + 2  # two that failed and what it then had: not the whole catalogue


def test_out_of_memory_everywhere_is_the_items_error(start, pool, orders):
    servers = [start(fails=lambda _, item: OUT_OF_MEMORY if item == "item 1" else None) for _ in range(3)]
    made = list(pool(servers).run(orders(9)))
    once(made, 9)
    (bad,) = (one for one in made if one.error)
    assert bad.error == "node 3 (Dress): OutOfMemoryError: Allocation on device 0 failed"
    assert sum(server.posted.count("item 1") for server in servers) == 2


def test_a_run_that_somebody_interrupts_is_an_error(start, pool, orders):
    server = start(fails=lambda _, item: "interrupted" if item == "item 0" else None)
    made = {one.order.item: one.error for one in pool([server]).run(orders(2))}
    assert made == {"item 0": "node 3 (Dress): the run was interrupted at the server", "item 1": ""}


@pytest.mark.parametrize(("key", "name"), [("1", "image"), ("3", "seed"), ("3", None)])
def test_a_refusal_of_what_was_filled_in_is_the_items_error(start, pool, orders, key, name):
    extra = {"extra_info": {"input_name": name} if name else {}}
    errors = {key: {"class_type": "X", "errors": [{"message": "Value wrong", "details": "so wrong"} | extra]}}
    server = start(rejects=lambda *_: errors)
    (made,) = pool([server]).run(orders(1))
    assert "Value wrong: so wrong" in made.error and f"node {key}" in made.error
    assert made.slot == ("person" if key == "1" else "")


def test_files_are_called_what_the_manifest_calls_them(start, pool, orders):
    def rejects(_, prompt):
        details = f"no picture: {prompt['1']['inputs']['image']}"
        error = {"message": "Bad", "details": details, "extra_info": {"input_name": "image"}}
        return {"1": {"class_type": "LoadImage", "errors": [error]}}

    (made,) = pool([start(rejects=rejects)]).run(orders(1))
    assert "no picture: people/ann.png" in made.error and FOLDER not in made.error


def test_a_server_without_the_workflows_model_gets_nothing(start, pool, orders):
    error = {"message": "Value not in list", "details": "model: 'm'", "extra_info": {"input_name": "model"}}
    asked = threading.Event()

    def rejects(server, prompt):
        asked.set()
        return {"3": {"class_type": "Dress", "errors": [error]}}

    poor, good = start(rejects=rejects), start(during=lambda *_: asked.wait(SOON))
    run = pool([poor, good], first_wait=60.0)
    made = list(run.run(orders(8)))
    once(made, 8)
    assert {one.server for one in made} == {good.url} and not any(one.error for one in made)
    assert "model: 'm'" in run.aside[poor.url]
    with pytest.raises(NoServer, match="model: 'm'"):
        list(pool([poor]).run(orders(2)))


def test_a_server_without_the_pack_gets_nothing(start, pool, orders, nobody):
    server = start(nodes={"LoadImage", "PreviewImage"})
    with pytest.raises(NoServer, match="it has no node Dress, which form.json needs"):
        list(pool([server, nobody]).run(orders(2)))
    assert server.uploads == [] and server.posted == []


def test_a_queue_that_somebody_empties_loses_nothing(start, pool, orders):
    server = start()
    server.hold()
    run = pool([server], most=3).run(orders(5))

    def empty() -> None:
        with server.lock:
            server.until(lambda: len(server.pending) == 3)
            server.pending.clear()
            server.release()

    thread = threading.Thread(target=empty)
    thread.start()
    made = list(run)
    thread.join()
    once(made, 5)
    assert not any(one.error for one in made)
    assert Counter(server.made) == Counter(f"item {i}" for i in range(5))


def test_other_peoples_prompts_are_waited_for(start, pool, orders):
    server = start()
    server.hold()
    shown = {"9": {"class_type": "PreviewImage", "inputs": {}}}
    for place in range(3):
        server.queue(shown, f"somebody-{place}", {})
    run = pool([server]).run(orders(2))

    def go_on() -> None:
        server.until(lambda: server.asked >= 20)  # it has been looked at, and looked at again
        server.release()

    threading.Thread(target=go_on).start()
    assert len(list(run)) == 2
    assert server.made[:2] == ["somebody's"] * 2 and server.crowd == 3


def test_an_item_that_takes_servers_down_is_an_error_in_the_end(start, pool, orders):
    """Whoever runs item 0 is gone; three of four servers are lost to it, and then it is given up."""

    def dies(server, item):
        if item == "item 0":
            server.close()

    servers = [start(during=dies) for _ in range(4)]
    run = pool(servers, first_wait=60.0)
    made = list(run.run(orders(10)))
    once(made, 10)
    (bad,) = (one for one in made if one.error)
    assert bad.order.item == "item 0" and "3 times a server was lost with it" in bad.error
    assert len(run.aside) == 3


def test_a_run_without_any_server_ends_and_names_each(pool, orders, nobodies):
    with pytest.raises(NoServer) as told:
        list(pool(nobodies).run(orders(2)))
    assert all(nobody in str(told.value) for nobody in nobodies)


def test_servers_that_stay_away_end_the_run_after_a_while(start, pool, orders):
    server = start(during=lambda server, item: not server.made or server.gone.wait(SOON))
    run = pool([server], give_up=0.3).run(orders(10))
    next(run)
    server.close()
    with pytest.raises(NoServer, match="nobody answers there"):
        list(run)


def test_a_picture_that_never_comes_puts_the_server_aside(start, pool, orders):
    stuck = start(during=lambda server, item: server.gone.wait())
    good = start(during=lambda *_: stuck.until(lambda: stuck.running))
    run = pool([stuck, good], first_wait=60.0)
    run.servers[0].patience = 0.0  # the second look at what runs there is too late
    made = list(run.run(orders(6)))
    once(made, 6)
    assert not any(one.error for one in made) and "took longer than" in run.aside[stuck.url]


def test_more_pictures_than_one_are_an_error(start, pool, orders):
    (made,) = pool([start(pictures=2)]).run(orders(1))
    assert "gave 2 pictures; an item has one" in made.error


def test_a_file_that_cannot_be_read_is_the_items_error(start, pool, orders):
    (order,) = orders(1)

    def missing() -> bytes:
        raise FileNotFoundError("no such file")

    (made,) = pool([start()]).run(
        [Order(order.item, order.workflow, {**order.files, "garment": InputFile("g.png", missing)}, {})]
    )
    assert made.error == "g.png cannot be read: no such file" and made.slot == "garment"


def test_a_fault_of_whoever_gives_the_jobs_ends_the_run(start, pool, orders):
    def given():
        yield from orders(2)
        raise KeyError("the manifest went away")

    with pytest.raises(KeyError, match="went away"):
        list(pool([start()]).run(given()))


def test_jobs_are_taken_as_servers_have_room(start, pool, orders):
    server, taken = start(), itertools.count()
    server.hold()
    given = (order for order in orders(10) if next(taken) >= 0)
    run = pool([server]).run(given)
    thread = threading.Thread(target=lambda: list(run))
    thread.start()
    server.until(lambda: len(server.posted) == 2)
    by_then = server.asked
    server.until(lambda: server.asked >= by_then + 10)  # it is looked at again and again, and nothing more is taken
    assert next(taken) == 2
    server.release()
    thread.join(SOON)
    assert len(server.made) == 10


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("gpu1", "http://gpu1:8188"),
        (" gpu1:9000 ", "http://gpu1:9000"),
        ("10.0.0.7", "http://10.0.0.7:8188"),
        ("[::1]", "http://[::1]:8188"),
        ("https://shop.example/comfy/", "https://shop.example/comfy"),
        ("http://gpu1", "http://gpu1"),
    ],
)
def test_hosts_may_be_short(host, address):
    assert parse_host(host) == address


@pytest.mark.parametrize("host", ["ftp://a", "a:b", "http://", ":8188", "a:99999"])
def test_what_is_no_address_is_said(host):
    with pytest.raises(ValueError, match="is no address"):
        parse_host(host)
