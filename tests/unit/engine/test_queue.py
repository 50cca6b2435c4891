from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine.queue import FairQueue
from gadfly.engine.request import Request, Sequence


def sequence(client="", tokens=1):
    return Sequence(Request((0,) * tokens, client=client), 999)


def serve(queue):
    """Take who is next, as if all of its prompt were computed at once."""
    front = queue.front()
    queue.take(front)
    queue.charge(front, front.pending)
    return front


def test_one_client_is_served_in_the_order_of_arrival():
    queue, line = FairQueue(), [sequence(tokens=9 - i) for i in range(5)]
    for one in line:
        queue.add(one)
    assert list(queue) == line
    assert [serve(queue) for _ in line] == line
    assert queue.front() is None


def test_clients_take_turns_by_tokens():
    queue = FairQueue()
    big, small = [sequence("big", 30) for _ in range(3)], [sequence("small", 10) for _ in range(6)]
    for one in (*big, *small):
        queue.add(one)
    expected = [big[0], *small[:3], big[1], *small[3:], big[2]]
    assert list(queue) == expected
    assert [serve(queue) for _ in expected] == expected


def test_nobody_saves_up_rights_by_staying_away():
    queue = FairQueue()
    first = [sequence("first", 10) for _ in range(4)]
    for one in first:
        queue.add(one)
    assert [serve(queue), serve(queue)] == first[:2]
    late = [sequence("late", 10) for _ in range(3)]
    for one in late:
        queue.add(one)
    assert [serve(queue) for _ in range(4)] == [first[2], late[0], first[3], late[1]]


def test_who_has_left_is_forgotten():
    queue, one = FairQueue(), sequence("a", 100)
    queue.add(one)
    serve(queue)
    queue.leave(one)
    a, b = sequence("a"), sequence("b")
    queue.add(b)
    queue.add(a)
    assert queue.served(a) == queue.served(b) == 0


def test_who_was_set_back_goes_first_in_the_old_order():
    queue = FairQueue()
    line = [sequence("a"), sequence("b"), sequence("c")]
    for one in line:
        queue.add(one)
    for one in line[:2]:
        assert serve(queue) is one
    for one in (line[1], line[0]):  # the youngest is set back first
        queue.put_back(one)
    assert list(queue) == line
    queue.take(line[0])
    assert queue.front() is line[1]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 20)), max_size=12), st.data())
def test_the_order_shown_is_the_order_that_comes(asked, data):
    """As long as nobody else comes; some leave from anywhere."""
    queue, line = FairQueue(), [sequence(*one) for one in asked]
    for one in line:
        queue.add(one)
    for gone in data.draw(st.lists(st.sampled_from(line), unique=True)) if line else []:
        queue.take(gone)
        queue.leave(gone)
    shown = list(queue)
    assert len(shown) == len(queue)
    assert [serve(queue) for _ in shown] == shown
    assert len(queue) == 0


@given(st.integers(1, 40), st.lists(st.sampled_from("abcdef"), max_size=60))
def test_a_client_leaves_room_for_others(most, clients):
    queue = FairQueue()
    for client in clients:
        if queue.has_room(client, most):
            queue.add(sequence(client))
        assert len(queue) <= most
    if set(clients) == {"a"} and len(clients) >= most > 1:
        assert len(queue) == most // 2 + 1
        assert queue.has_room("b", most) == (most > 2)
