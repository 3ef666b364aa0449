"Files stay whole when their writer is killed at any moment, and when two writers meet."
import random, signal, subprocess, sys, time

import pytest

from llgbm.files import clear_leftovers, read_json, read_jsonl

WRITER = """
import sys
from llgbm.files import append_jsonl, atomic_dir, read_jsonl, write_json, write_text
from pathlib import Path
folder, who = Path(sys.argv[1]), sys.argv[2]
log = folder/f'{who}.jsonl'
n = len(read_jsonl(log)) if log.exists() else 0
print('ready', flush=True)
while True:
    n += 1
    write_json(folder/'manifest.json', dict(n=n, fill=[n]*2000))
    with atomic_dir(folder/'adapter') as d:
        for name in 'config', 'weights': (d/name).write_text(f'{who}{n} '*1000)
    append_jsonl(log, dict(step=n, fill='x'*(n % 7*1000)))
"""

def start(folder, who):
    p = subprocess.Popen([sys.executable, '-c', WRITER, str(folder), who], stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == 'ready\n'
    return p

def check(folder, who):
    "What a reader finds, whatever happened to the writer."
    if (folder/'manifest.json').exists():
        m = read_json(folder/'manifest.json')
        assert m['fill'] == [m['n']]*2000
    if (folder/'adapter').exists():
        config, weights = [(folder/'adapter'/n).read_text() for n in ('config', 'weights')]
        assert config == weights and len(config.split()) == 1000
    for w in who:
        if (folder/f'{w}.jsonl').exists():
            rows = read_jsonl(folder/f'{w}.jsonl')
            assert [r['step'] for r in rows] == list(range(1, len(rows) + 1))

@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs SIGKILL')
def test_killed_writer_leaves_whole_files(tmp_path):
    rng = random.Random(0)
    for _ in range(12):
        p = start(tmp_path, 'a')
        time.sleep(rng.uniform(0, .15))
        p.kill(); p.wait()
        check(tmp_path, 'a')
    assert len(read_jsonl(tmp_path/'a.jsonl')) > 12 # it did work in between, and each start went on where the last ended
    clear_leftovers(tmp_path, older_than=-1)
    assert {p.name for p in tmp_path.iterdir()} == {'manifest.json', 'adapter', 'a.jsonl'}

def test_two_writers_of_one_folder(tmp_path):
    ps = [start(tmp_path, w) for w in 'ab']
    time.sleep(1.5)
    assert [p.poll() for p in ps] == [None, None] # neither failed because of the other
    for p in ps: p.kill(); p.wait()
    check(tmp_path, 'ab')
    assert all(len(read_jsonl(tmp_path/f'{w}.jsonl')) > 5 for w in 'ab')
