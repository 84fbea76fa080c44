"""PyPI's prometheus-remote-writer as it comes, driven by tests/it/foreign_senders.rs.

In: the URL as an argument; on stdin a line a batch: "send" makes a new one, "again" repeats the last. Out: a line of JSON a
batch: whether it was accepted, what was heard, and its samples.
"""

import json
import sys
import time

from prometheus_remote_writer import RemoteWriter

SERIES = 20
SAMPLES = 25


def make(newest):
    first = max(newest + 1, int(time.time() * 1000) - SAMPLES)
    times = list(range(first, first + SAMPLES))
    return times[-1], [
        {
            # Names in no order, as an application writes them.
            "metric": {"zone": "zürich-1", "__name__": "writer_requests_total", "path": f'/a"b\\c/{series}', "instance": "web-0"},
            "values": [(series - 3) * 0.1 + tick for tick in range(SAMPLES)],
            "timestamps": times,
        }
        for series in range(SERIES)
    ]


def main():
    newest, batch = 0, []
    with RemoteWriter(url=sys.argv[1]) as writer:
        for command in sys.stdin:
            if command.strip() == "send":
                newest, batch = make(newest)
            try:
                writer.send(batch)
                accepted, said = True, ""
            except RuntimeError as error:
                accepted, said = False, str(error)
            samples = [
                (item["metric"], timestamp, repr(value))
                for item in batch
                for timestamp, value in zip(item["timestamps"], item["values"])
            ]
            print(json.dumps({"accepted": accepted, "said": said, "samples": samples}), flush=True)


main()
