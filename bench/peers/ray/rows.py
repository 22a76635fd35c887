"""Our suites' workloads on Ray, as in ray/_private/ray_perf.py; prints one line of JSON to standard output.

    rows.py [--quick] [--settle SECONDS] [--rows NAME,NAME]

Timed rows use the timing rule of `ray microbenchmark`: settle, warm up for a second, four rounds of at least two.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray 2.60 asks for a token by default, which its own client does not send; read when it is imported.
if any("client__" in argument for argument in sys.argv):
    os.environ["RAY_AUTH_MODE"] = "disabled"

import client  # noqa: E402
import objects  # noqa: E402
import ray  # noqa: E402
import tasks  # noqa: E402

BATCH = 1000
CLIENT_CALLS = 5000
CLIENTS = 4
SERVERS = max(1, multiprocessing.cpu_count() // 2)


@ray.remote(num_cpus=0)
class Actor:
    def small_value(self):
        return b"ok"

    def small_value_arg(self, x):
        return b"ok"


@ray.remote
class AsyncActor:
    async def small_value(self):
        return b"ok"

    async def small_value_with_arg(self, x):
        return b"ok"


@ray.remote(num_cpus=0)
class Client:
    def __init__(self, servers):
        self.servers = servers if isinstance(servers, list) else [servers]

    def small_value_batch(self, n):
        results = []
        for server in self.servers:
            results.extend([server.small_value.remote() for _ in range(n)])
        ray.get(results)

    def small_value_batch_arg(self, n):
        x = ray.put(0)
        results = []
        for server in self.servers:
            results.extend([server.small_value_arg.remote(x) for _ in range(n)])
        ray.get(results)


@ray.remote
def work(actors):
    ray.get([actors[i % SERVERS].small_value.remote() for i in range(CLIENT_CALLS)])


def get_calls():
    value = ray.put(0)
    return [], lambda: ray.get(value), 1


def put_calls():
    return [], lambda: ray.put(0), 1


def one_at_a_time(create):
    def prepare():
        actor = create()
        return [actor], lambda: ray.get(actor.small_value.remote()), 1

    return prepare


def thousand_at_once(create):
    def prepare():
        actor = create()
        run = lambda: ray.get([actor.small_value.remote() for _ in range(BATCH)])  # noqa: E731
        return [actor], run, BATCH

    return prepare


def thousand_with_args():
    actor = AsyncActor.remote()
    run = lambda: ray.get([actor.small_value_with_arg.remote(i) for i in range(BATCH)])  # noqa: E731
    return [actor], run, BATCH


def one_client_to_many(create):
    def prepare():
        actors = [create() for _ in range(SERVERS)]
        client = Client.remote(actors)
        run = lambda: ray.get(client.small_value_batch.remote(CLIENT_CALLS))  # noqa: E731
        return [client, *actors], run, CLIENT_CALLS * SERVERS

    return prepare


def many_clients_to_many(create):
    def prepare():
        actors = [create() for _ in range(SERVERS)]
        run = lambda: ray.get([work.remote(actors) for _ in range(CLIENTS)])  # noqa: E731
        return actors, run, CLIENT_CALLS * CLIENTS

    return prepare


def many_pairs_with_ref():
    actors = [Actor.remote() for _ in range(SERVERS)]
    clients = [Client.remote(actor) for actor in actors]
    run = lambda: ray.get([c.small_value_batch_arg.remote(BATCH) for c in clients])  # noqa: E731
    return [*clients, *actors], run, BATCH * SERVERS


def concurrent_actor():
    return Actor.options(max_concurrency=16).remote()


CALL_ROWS = {
    "single_client_get_calls": ("get/s", get_calls),
    "single_client_put_calls": ("put/s", put_calls),
    "1_1_actor_calls_sync": ("call/s", one_at_a_time(Actor.remote)),
    "1_1_actor_calls_async": ("call/s", thousand_at_once(Actor.remote)),
    "1_1_actor_calls_concurrent": ("call/s", thousand_at_once(concurrent_actor)),
    "1_n_actor_calls_async": ("call/s", one_client_to_many(Actor.remote)),
    "n_n_actor_calls_async": ("call/s", many_clients_to_many(Actor.remote)),
    "n_n_actor_calls_with_arg_async": ("call/s", many_pairs_with_ref),
    "1_1_async_actor_calls_sync": ("call/s", one_at_a_time(AsyncActor.remote)),
    "1_1_async_actor_calls_async": ("call/s", thousand_at_once(AsyncActor.remote)),
    "1_1_async_actor_calls_with_args_async": ("call/s", thousand_with_args),
    "1_n_async_actor_calls_async": ("call/s", one_client_to_many(AsyncActor.remote)),
    "n_n_async_actor_calls_async": ("call/s", many_clients_to_many(AsyncActor.remote)),
}


def summary(samples, unit, centre=statistics.fmean):
    return {"value": centre(samples), "sd": statistics.pstdev(samples), "unit": unit}


def median_of(samples, unit):
    return summary(samples, unit, statistics.median)


def time_row(run, multiplier, options):
    """Ray's `timeit` (ray/_private/ray_microbenchmark_helpers.py) with the durations as options."""
    time.sleep(options.settle)
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < (0.05 if options.quick else 1):
        run()
        count += 1
    step = count // 10 + 1
    rates = []
    for _ in range(2 if options.quick else 4):
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < (0.1 if options.quick else 2):
            for _ in range(step):
                run()
            count += step
        rates.append(multiplier * count / (time.perf_counter() - start))
    return rates


def create_one_after_another(options):
    samples = []
    for _ in range(2 if options.quick else 20):
        time.sleep(1)
        start = time.perf_counter()
        actor = Actor.remote()
        ray.get(actor.small_value.remote())
        samples.append((time.perf_counter() - start) * 1000)
        ray.kill(actor)
    return summary(samples, "ms", statistics.median)


def create_at_once(options):
    count = 4 if options.quick else 40
    rates = []
    for _ in range(1 if options.quick else 3):
        time.sleep(0 if options.quick else 3)
        start = time.perf_counter()
        actors = [Actor.remote() for _ in range(count)]
        ray.get([actor.small_value.remote() for actor in actors])
        rates.append(count / (time.perf_counter() - start))
        for actor in actors:
            ray.kill(actor)
    return summary(rates, "actor/s")


INIT_PROGRAM = """
import time
import ray
start = time.perf_counter()
ray.init()
print((time.perf_counter() - start) * 1000)
ray.shutdown()
"""


def init_cluster(options):
    samples = []
    for _ in range(1 if options.quick else 7):
        program = [sys.executable, "-c", INIT_PROGRAM]
        done = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True)
        samples.append(float(done.stdout.split()[-1]))
    return summary(samples, "ms", statistics.median)


CREATION_ROWS = {
    "actor_create_to_first_answer": create_one_after_another,
    "40_actors_at_once": create_at_once,
}


def run_rows(options):
    def wanted(name):
        return options.rows is None or name in options.rows

    rows = {}

    def add(name, row):
        rows[name] = row
        print(f"ray {name}: {row['value']:.4g} ± {row['sd']:.2g} {row['unit']}", file=sys.stderr, flush=True)

    if wanted("init_private_cluster"):
        add("init_private_cluster", init_cluster(options))
    timed_rows = {**CALL_ROWS, **objects.TIMED_ROWS, **tasks.TIMED_ROWS}
    measured_rows = {**tasks.MEASURED_ROWS, **objects.MEASURED_ROWS}

    def run_timed(definitions):
        for name, (unit, prepare) in definitions.items():
            if wanted(name):
                actors, run, multiplier = prepare()
                add(name, summary(time_row(run, multiplier, options), unit))
                for actor in actors:
                    ray.kill(actor)

    if any(wanted(name) for name in [*timed_rows, *CREATION_ROWS, *measured_rows]):
        ray.init()
        run_timed(timed_rows)
        for name, measure in CREATION_ROWS.items():
            if wanted(name):
                add(name, measure(options))
        for name, measure in measured_rows.items():
            if wanted(name):
                add(name, measure(options, median_of))
        ray.shutdown()
    client_rows = client.timed_rows(timed_rows)
    if any(wanted(name) for name in client_rows):
        with client.connected():
            run_timed(client_rows)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--settle", type=float, default=10)
    parser.add_argument("--rows", type=lambda text: set(text.split(",")))
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        rows = run_rows(options)
    print(json.dumps({"version": ray.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
