"""Rows of the objects suite: values in Ray's shared memory."""

import time

import numpy as np
import ray

GIB = 1024**3


@ray.remote
def put_small():
    for _ in range(100):
        ray.put(0)


@ray.remote
def put_large():
    for _ in range(10):
        ray.put(np.zeros(10 * 1024 * 1024, dtype=np.int64))


@ray.remote
def create_refs():
    return [ray.put(1) for _ in range(10_000)]


def put_gigabytes():
    array = np.zeros(100 * 1024 * 1024, dtype=np.int64)
    return [], lambda: ray.put(array), 0.8


def multi_client_put_calls():
    return [], lambda: ray.get([put_small.remote() for _ in range(10)]), 1000


def multi_client_put_gigabytes():
    return [], lambda: ray.get([put_large.remote() for _ in range(10)]), 8.0


def get_of_10k_refs():
    ref = create_refs.remote()
    ray.wait([ref])
    return [], lambda: ray.get(ref), 1


TIMED_ROWS = {
    "multi_client_put_calls": ("put/s", multi_client_put_calls),
    "single_client_put_gigabytes": ("GB/s", put_gigabytes),
    "multi_client_put_gigabytes": ("GB/s", multi_client_put_gigabytes),
    "single_client_get_object_containing_10k_refs": ("get/s", get_of_10k_refs),
}


def get_1_gib(options, summary):
    size = GIB // (64 if options.quick else 1)
    ref = ray.put(np.zeros(size, dtype=np.int8))
    samples = []
    for _ in range(3 if options.quick else 20):
        start = time.perf_counter()
        ray.get(ref)
        samples.append((time.perf_counter() - start) * 1000)
    return summary(samples, "ms")


def gets(refs, summary):
    samples = []
    for _ in range(3):
        start = time.perf_counter()
        ray.get(refs)
        samples.append((time.perf_counter() - start) * 1000)
    return summary(samples, "ms")


def many_gets(options, summary):
    return gets([ray.put(index) for index in range(100 if options.quick else 10_000)], summary)


def many_stored_gets(options, summary):
    count = 100 if options.quick else 10_000
    return gets([ray.put(np.zeros(102_400, dtype=np.int8)) for _ in range(count)], summary)


def large_object(options, summary):
    """Needs a store that holds it: a cluster of its own."""
    size = GIB // 64 if options.quick else 10 * GIB
    ray.shutdown()
    ray.init(object_store_memory=size + GIB)
    array = np.zeros(size, dtype=np.int8)
    start = time.perf_counter()
    ref = ray.put(array)
    del array
    received = ray.get(ref)
    elapsed = (time.perf_counter() - start) * 1000
    assert received[0] == 0 and received[-1] == 0
    del ref, received
    ray.shutdown()
    ray.init()
    return summary([elapsed], "ms")


MEASURED_ROWS = {
    "get_1_gib_array": get_1_gib,
    "10000_get_time": many_gets,
    "10000_stored_get_time": many_stored_gets,
    "10_gib_object_time": large_object,
}
