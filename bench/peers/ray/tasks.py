"""Rows of the tasks suite."""

import time

import ray

BATCH = 1000
CLIENTS = 4
CLIENT_TASKS = 10_000


@ray.remote
def small_value():
    return b"ok"


@ray.remote
def total(*numbers):
    return sum(numbers)


@ray.remote(num_cpus=0)
class Submitter:
    def small_value_batch(self, count):
        ray.get([small_value.remote() for _ in range(count)])


def submit_and_get(count):
    return lambda: ray.get([small_value.remote() for _ in range(count)])


def wait_for_each():
    pending = [small_value.remote() for _ in range(BATCH)]
    fetch_local = True
    for _ in range(BATCH):
        _, pending = ray.wait(pending, fetch_local=fetch_local)
        fetch_local = False


def multi_client():
    clients = [Submitter.remote() for _ in range(CLIENTS)]
    run = lambda: ray.get([c.small_value_batch.remote(CLIENT_TASKS) for c in clients])  # noqa: E731
    return clients, run, CLIENTS * CLIENT_TASKS


TIMED_ROWS = {
    "single_client_tasks_and_get_batch": ("batch/s", lambda: ([], submit_and_get(BATCH), 1)),
    "single_client_wait_1k_refs": ("batch/s", lambda: ([], wait_for_each, 1)),
    "single_client_tasks_sync": ("task/s", lambda: ([], lambda: ray.get(small_value.remote()), 1)),
    "single_client_tasks_async": ("task/s", lambda: ([], submit_and_get(BATCH), BATCH)),
    "multi_client_tasks_async": ("task/s", multi_client),
}


def repeated(count, work, summary):
    samples = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        samples.append((time.perf_counter() - start) * 1000)
    return summary(samples, "ms")


def many_arguments(options, summary):
    count = 100 if options.quick else 10_000

    def work():
        refs = [ray.put(index) for index in range(count)]
        assert ray.get(total.remote(*refs)) == count * (count - 1) // 2

    return repeated(3, work, summary)


def many_returns(options, summary):
    count = 30 if options.quick else 3_000
    task = ray.remote(num_returns=count)(lambda: tuple(range(count)))

    def work():
        assert ray.get(task.remote())[-1] == count - 1

    return repeated(3, work, summary)


def queued(options, summary):
    """Ray's rate falls with the length of the queue: 50 000 flatter it beside our million."""
    count = 500 if options.quick else 50_000
    start = time.perf_counter()
    ray.get([small_value.remote() for _ in range(count)])
    return summary([count / (time.perf_counter() - start)], "task/s")


MEASURED_ROWS = {
    "10000_args_time": many_arguments,
    "3000_returns_time": many_returns,
    "1000000_queued": queued,
}
