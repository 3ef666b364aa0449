"One cache, several processes, and processes that are killed: every file stays whole, nothing is lost or computed twice."
import json, os, subprocess, sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from llgbm.delta_cache import BASE, DeltaCache, unpack_array
from llgbm.files import clear_leftovers, read_json

N = 24
HERE = Path(__file__).parent

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "A base, N adapters, and their deltas from an undisturbed run."
    root = tmp_path_factory.mktemp('zoo')
    zoo.make_base(root/'base')
    zoo.make_adapters(root/'base', root/'adapters', N)
    return root, zoo.embed(root/'base', root/'adapters', root/'undisturbed')

def program(code, root, *args, cmd=(sys.executable,), **kw):
    "Start a Python program that has `zoo`, `root` and its arguments."
    src = f'import sys, json, os, time, zoo\nfrom pathlib import Path\nroot, args = Path(sys.argv[1]), sys.argv[2:]\n{code}'
    script = root/f'program{abs(hash(code))}.py'
    script.write_text(src)
    return subprocess.Popen([*map(str, cmd), str(script), str(root), *map(str, args)], env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(HERE), os.environ.get('PYTHONPATH')]))}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)

def finish(p, timeout=120):
    out, err = p.communicate(timeout=timeout)
    return p.returncode, out, err

def whole_files(cache):
    "Check every file of a cache that a reader may find; return how many deltas there are."
    for p in cache.glob('*.npy'): unpack_array(p.read_bytes())
    if (cache/'manifest.json').exists(): assert set(read_json(cache/'manifest.json')) == {'adapters', 'config'}
    return len([p for p in cache.glob('*.npy') if p.stem != BASE])

def same_bits(got, want):
    assert list(got) == list(want)
    for n in want: assert got[n].tobytes() == want[n].tobytes(), n

KILLED = """
# Imports and the base are paid for once: every run is a fork of this process, killed at its own moment.
import random, signal
base = zoo.load(root/'base')
rng, kills, finished = random.Random(int(args[1])), 0, False
while not finished:
    pid = os.fork()
    if pid == 0:
        zoo.embed(base, root/'adapters', args[0])
        os._exit(0)
    time.sleep(rng.uniform(0, 0.05 + 0.005*kills))                # longer and longer, so that it ends on any machine
    pid_done, status = os.waitpid(pid, os.WNOHANG)
    if pid_done == 0:
        os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); kills += 1
    finished = pid_done != 0
    print(json.dumps(dict(kills=kills, finished=finished, status=status if finished else None)), flush=True)
    sys.stdin.readline()                                     # go on when the reader has looked
"""

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork and SIGKILL')
def test_killed_at_any_moment(world, tmp_path):
    root, undisturbed = world
    cache, counts = tmp_path/'cache', []
    p = program(KILLED, root, cache, 0, stdin=subprocess.PIPE)
    for line in p.stdout:
        state = json.loads(line)
        counts.append(whole_files(cache))
        if state['finished']: break
        p.stdin.write('\n'); p.stdin.flush()
    p.stdin.close()
    assert state['status'] == 0 and state['kills'] >= 5, state
    assert counts == sorted(counts) and len({*counts} - {0, N}) >= 2, counts  # killed in the midst of it, and no start lost what was there
    result = zoo.embed(root/'base', root/'adapters', cache)
    assert sorted(result.cached) == sorted(undisturbed.deltas) and not result.computed and not result.failed
    same_bits(result.deltas, undisturbed.deltas)
    assert sorted(read_json(cache/'manifest.json')['adapters']) == [*undisturbed.deltas]
    clear_leftovers(cache, older_than=-1)
    assert {p.name for p in cache.iterdir()} == {p.name for p in (root/'undisturbed').iterdir()}

AT_ONCE = """
base = zoo.load(root/'base')
print('ready', flush=True)
sys.stdin.readline()
r = zoo.embed(base, root/'adapters', args[0])
print(json.dumps(dict(computed=r.computed, cached=r.cached, failed=r.failed)))
"""

def test_two_runs_at_once(world, tmp_path):
    root, undisturbed = world
    cache = tmp_path/'cache'
    ps = [program(AT_ONCE, root, cache, stdin=subprocess.PIPE) for _ in range(2)]
    for p in ps: assert p.stdout.readline() == 'ready\n'
    for p in ps: p.stdin.write('\n'); p.stdin.flush()
    for p in ps:
        rc, out, err = finish(p)
        assert rc == 0, err
        r = json.loads(out)
        assert sorted(r['computed'] + r['cached']) == [*undisturbed.deltas] and not r['failed']
    assert whole_files(cache) == N
    assert sorted(read_json(cache/'manifest.json')['adapters']) == [*undisturbed.deltas]     # neither overwrote the other's entries
    same_bits(DeltaCache(cache).get_all_deltas(), undisturbed.deltas)
    assert {p.name for p in cache.iterdir()} == {p.name for p in (root/'undisturbed').iterdir()}   # no leftovers

SHARED = """
from llgbm import delta as rooms
ran, run_batch = [], rooms._run_batch
def counted(run, batch): ran.extend(l.id for l in batch); return run_batch(run, batch)
rooms._run_batch = counted
r = zoo.embed(root/'base', root/'adapters', args[0], max_batch_tokens=None)
out = dict(ran=ran, computed=r.computed, cached=r.cached, failed=r.failed, names=r.names, sums=[float(d.sum()) for d in r.deltas.values()])
(Path(args[1])/f"{os.environ.get('RANK', 0)}.json").write_text(json.dumps(out))
"""

def test_accelerate_launch_shares_the_work(world, tmp_path):
    root, undisturbed = world
    cache, launch = tmp_path/'cache', [sys.executable, '-m', 'accelerate.commands.launch', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0', '--multi_gpu']
    rc, out, err = finish(program(SHARED, root, cache, tmp_path, cmd=launch))
    assert rc == 0, err[-3000:]
    ranks = [json.loads((tmp_path/f'{i}.json').read_text()) for i in range(2)]
    assert sorted(ranks[0]['ran'] + ranks[1]['ran']) == [*undisturbed.deltas]      # each adapter ran once, in one of the processes
    assert all(len(r['ran']) == N//2 for r in ranks)
    for r in ranks:                                                                # and every process knows the whole result
        assert r['names'] == [*undisturbed.deltas] and sorted(r['computed']) == r['names'] and not r['cached'] and not r['failed']
    got = DeltaCache(cache).get_all_deltas()
    assert [*got] == [*undisturbed.deltas]
    for n, d in undisturbed.deltas.items(): np.testing.assert_allclose(got[n], d, atol=1e-6, rtol=0)

def only_whole(cache, undisturbed):
    "What is in the cache is right, and there's no half-written file."
    assert not [p.name for p in cache.rglob('*') if p.name.endswith('.tmp')] if cache.exists() else True
    for n, d in (DeltaCache(cache).get_all_deltas() if cache.exists() else {}).items(): assert d.tobytes() == undisturbed.deltas[n].tobytes()

FULL = """
import resource
from llgbm.delta_cache import DeltaCache
resource.setrlimit(resource.RLIMIT_FSIZE, (int(args[1]), resource.RLIM_INFINITY))      # no file may grow beyond this
try: zoo.embed(root/'base', root/'adapters', args[0])
except OSError as e: sys.exit(f'OSError: {e}')
"""

@pytest.mark.parametrize('limit', [100, 1500])        # no delta fits; deltas fit, but the manifest outgrows it
def test_file_size_limit(world, tmp_path, limit):
    root, undisturbed = world
    cache = tmp_path/'cache'
    rc, out, err = finish(program(FULL, root, cache, limit))
    assert rc == 1 and 'OSError: ' in err and str(cache) in err and 'Traceback' not in err, err
    only_whole(cache, undisturbed)
    same_bits(zoo.embed(root/'base', root/'adapters', cache).deltas, undisturbed.deltas)   # with room again, the run goes on

def mounted(options):
    "A command prefix that runs a program in a namespace of its own with a small file system on /mnt, or None."
    prefix = ['unshare', '-m', 'sh', '-c', f'mount -t tmpfs -o {options} tmpfs /mnt && exec "$@"', 'sh']
    try: return prefix if subprocess.run([*prefix, 'true'], capture_output=True).returncode == 0 else None
    except FileNotFoundError: return None

REFUSED = """
try: zoo.embed(root/'base', root/'adapters', '/mnt/cache')
except OSError as e: print(json.dumps([type(e).__name__, str(e)]))
else: sys.exit('nothing was refused')
print(json.dumps(sorted(p.name for p in Path('/mnt').rglob('*.tmp'))))
from llgbm.delta_cache import DeltaCache
c = Path('/mnt/cache')
print(json.dumps(len(DeltaCache(c).get_all_deltas()) if c.exists() else 0))
"""

@pytest.mark.parametrize('options, says', [('ro', 'Read-only file system'), ('size=16k', 'No space left on device')])
def test_disk_refuses(world, options, says):
    if (prefix := mounted(options)) is None: pytest.skip('mounting a file system is not allowed here')
    rc, out, err = finish(program(REFUSED, world[0], cmd=[*prefix, sys.executable]))
    assert rc == 0, err
    (kind, message), leftovers, kept = map(json.loads, out.splitlines())
    assert kind == 'OSError' and says in message and '/mnt/cache' in message and leftovers == []

@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write anywhere')
def test_folder_without_permission(world, tmp_path):
    (tmp_path/'cache').mkdir(mode=0o555)
    with pytest.raises(OSError, match='cache'): zoo.embed(world[0]/'base', world[0]/'adapters', tmp_path/'cache')
    assert list((tmp_path/'cache').iterdir()) == []
