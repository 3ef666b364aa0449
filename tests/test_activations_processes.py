"Activations of a run that is killed at any moment, and of several processes, are those of one undisturbed run, to the last bit."
import json, os, random, subprocess, sys
from pathlib import Path

import pytest

import zoo
from llgbm.activations import collect
from llgbm.files import clear_leftovers, read_json, write_text
from llgbm.lora import LoraAdapter

HERE, BLOCK, TEXTS = Path(__file__).parent, 8, 150

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "A base, an adapter, texts, and what an undisturbed run finds."
    root = tmp_path_factory.mktemp('activations')
    zoo.make_base(root/'base')
    zoo.make_adapters(root/'base', root/'adapters', 1)
    r = random.Random(0)
    words = 'the a model adapter learns what tokens fire each direction of it and why'.split()
    write_text(root/'texts.jsonl', ''.join(json.dumps(dict(text=' '.join(r.choices(words, k=r.randrange(1, 40))))) + '\n' for _ in range(TEXTS)))
    return root, gather(zoo.load(root/'base'), root)

def gather(base, root, state=None, **kw):
    return collect(base, LoraAdapter.from_pretrained(root/'adapters'/'a00'), root/'texts.jsonl', state=state, save_every=0, block=BLOCK, importance=3, ablate=True, progress=False, **kw).data

def program(code, root, *args, cmd=(sys.executable,), **kw):
    "Start a Python program that has `gather`, `base`, `root` and its arguments."
    src = f'import sys, json, os, time, zoo\nfrom pathlib import Path\nfrom test_activations_processes import gather\nroot, args = Path(sys.argv[1]), sys.argv[2:]\nbase = zoo.load(root/"base")\n{code}'
    script = write_text(root/f'program{abs(hash(code))}.py', src)
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(filter(None, [str(HERE), os.environ.get('PYTHONPATH')]))}
    return subprocess.Popen([*map(str, cmd), str(script), str(root), *map(str, args)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)

KILLED = """
# Imports and the base are paid for once: every run is a fork of this process, killed at its own moment.
import random, signal
from llgbm.activations import load_part
state, rng, kills, done = Path(args[0]), random.Random(int(args[1])), 0, [0]
while True:
    pid = os.fork()
    if pid == 0:
        gather(base, root, state)
        os._exit(0)
    time.sleep(rng.uniform(0, 0.1 + 0.02*kills))                  # longer and longer, so that it ends on any machine
    pid_done, status = os.waitpid(pid, os.WNOHANG)
    if pid_done: break
    os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); kills += 1
    done.append(len(load_part(state/'part-0.npz').done) if (state/'part-0.npz').exists() else 0)
print(json.dumps(dict(kills=kills, status=status, done=done)))
"""

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork and SIGKILL')
def test_killed_at_any_moment(world, tmp_path):
    root, undisturbed = world
    p = program(KILLED, root, tmp_path/'state', 0)
    out, err = p.communicate(timeout=180)
    assert p.returncode == 0, err[-3000:]
    told = json.loads(out)
    assert told['status'] == 0 and told['kills'] >= 4, told
    assert told['done'] == sorted(told['done']) and len({*told['done']} - {0, -(-TEXTS//BLOCK)}) >= 2, told      # killed in the midst of it, and nothing done was lost
    clear_leftovers(tmp_path/'state', older_than=-1)
    assert {f.name for f in (tmp_path/'state').iterdir()} == {'settings.json', 'part-0.npz'}
    assert gather(zoo.load(root/'base'), root, tmp_path/'state') == undisturbed

SHARED = """
from llgbm import activations as room
blocks, take = [], room._take_block
def counted(run, part, block, values): blocks.append(block.index); return take(run, part, block, values)
room._take_block = counted
data = gather(base, root, args[0])
(Path(args[1])/f"{os.environ.get('RANK', 0)}.json").write_text(json.dumps(dict(data=data, blocks=blocks)))
"""

def launch(n): return [sys.executable, '-m', 'accelerate.commands.launch', '--num_processes', str(n), '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0', '--multi_gpu']

def test_accelerate_launch_shares_the_work(world, tmp_path):
    root, undisturbed = world
    p = program(SHARED, root, tmp_path/'state', tmp_path, cmd=launch(2))
    out, err = p.communicate(timeout=180)
    assert p.returncode == 0, err[-3000:]
    ranks = [read_json(tmp_path/f'{i}.json') for i in range(2)]
    assert sorted(ranks[0]['blocks'] + ranks[1]['blocks']) == [*range(-(-TEXTS//BLOCK))]         # each block ran once,
    assert all(r['blocks'] for r in ranks)                                                       # some in each process,
    for r in ranks: assert r['data'] == json.loads(json.dumps(undisturbed))                      # and every process knows the whole result
    assert gather(zoo.load(root/'base'), root, tmp_path/'state') == undisturbed                  # so does one that comes later

def test_several_processes_need_a_folder(world, monkeypatch):
    from llgbm import activations
    monkeypatch.setattr(activations, 'this_world', lambda device: activations.World(0, 2))
    with pytest.raises(ValueError, match='several processes need a state folder'): gather(zoo.load(world[0]/'base'), world[0])
