"""Rows of a program that is on no machine of the cluster: Ray Client (`ray://`), which goes through a proxy."""

import contextlib
import pathlib
import socket
import subprocess
import sys

import ray

PREFIX = "client__"
#: Ray's keys, and the rows whose work they do.
SAME_WORK = {
    "get_calls": "single_client_get_calls",
    "put_calls": "single_client_put_calls",
    "put_gigabytes": "single_client_put_gigabytes",
    "tasks_and_put_batch": "multi_client_put_calls",
    "tasks_and_get_batch": "single_client_tasks_and_get_batch",
    "1_1_actor_calls_sync": "1_1_actor_calls_sync",
    "1_1_actor_calls_async": "1_1_actor_calls_async",
    "1_1_actor_calls_concurrent": "1_1_actor_calls_concurrent",
}


def timed_rows(rows):
    return {f"{PREFIX}{key}": rows[name] for key, name in SAME_WORK.items()}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def connected():
    command = str(pathlib.Path(sys.executable).with_name("ray"))
    port = free_port()
    start = [command, "start", "--head", f"--port={free_port()}", f"--ray-client-server-port={port}"]
    subprocess.run(start, check=True, stdout=sys.stderr)
    try:
        ray.init(f"ray://127.0.0.1:{port}")
        yield
        ray.shutdown()
    finally:
        subprocess.run([command, "stop", "--force"], check=True, stdout=sys.stderr)
