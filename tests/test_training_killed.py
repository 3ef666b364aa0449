"A training that is killed at any moment, and taken up again, is bit for bit the training that was never killed."
import json, os, signal, subprocess, sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from llgbm.files import read_jsonl, write_text
from llgbm.training import list_checkpoints
from training_world import make_world

HERE = Path(__file__).parent
STEPS = 14

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "Tasks, teachers and a configuration, and the run that nobody disturbed."
    root = tmp_path_factory.mktemp('world')
    make_world(root, {'training.num_steps': STEPS, 'training.save_interval': 4, 'training.log_interval': 3, 'training.eval_interval': 7})
    script = write_text(root/'program.py', PROGRAM)
    p = start(script, root)
    ask(p, root/'undisturbed', '')
    for name, kills in dict(killed=KILLS, hurried=TIMES).items():
        for where in kills: ask(p, root/name, where)
    p.stdin.close(); p.wait()
    return root

# Imports, base and teachers are paid for once: every run is a fork of this process, and kills itself at its own moment.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from llgbm import training
from training_world import load_world
root = Path(sys.argv[1])
config, base, dataset = load_world(root)

def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
def wrap(owner, name, step, after):
    "Die before or after a call in a step."
    old = getattr(owner, name)
    def new(self, *args, **kw):
        at = args[0] + 1 if owner is training.Trainer and name == 'step' else now[0]
        if owner is training.Trainer and name == 'step': now[0] = at
        if at == step and not after: kill()
        out = old(self, *args, **kw)
        if at == step and after: kill()
        return out
    setattr(owner, name, new)

for line in sys.stdin:
    out, where = json.loads(line)
    pid = os.fork()
    if pid == 0:
        now = [0]
        if where and not where.startswith('time'):
            what, step, when = where.split()
            wrap(training.Trainer, 'step', int(step) if what == 'step' else -1, when == 'after')
            if what == 'log': wrap(training.Run, 'log', int(step), when == 'after')
            if what == 'save': wrap(training.Run, 'save', int(step), when == 'after')
            if what == 'fill': wrap(training.Trainer, 'save', int(step), when == 'after')       # amid the writing of a checkpoint
        try: training.train(config, out, base, dataset, progress=False)
        except BaseException:
            import traceback; traceback.print_exc(); os._exit(1)
        os._exit(0)
    if where.startswith('time'):
        time.sleep(float(where.split()[1]))
        os.kill(pid, signal.SIGKILL)                   # if it has ended by now it stays ended
    print(json.dumps(os.waitpid(pid, 0)[1]), flush=True)
"""

TIMES = 'time .3', 'time .37', 'time .41', ''            # wherever these moments fall, on a fast machine or a slow one
KILLS = 'step 1 before', 'step 2 after', 'save 4 before', 'fill 4 before', 'fill 4 after', 'step 6 after', 'log 6 after', 'save 8 after', 'step 11 before', 'log 12 after', 'fill 12 after', 'step 14 after', 'fill 14 after', 'save 14 after', ''

def start(script, root):
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get('PYTHONPATH')]))
    return subprocess.Popen([sys.executable, str(script), str(root)], env={**os.environ, 'PYTHONPATH': path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def ask(p, out, where):
    "Let the program train until it is killed; it must have been."
    p.stdin.write(json.dumps([str(out), where]) + '\n'); p.stdin.flush()
    status = json.loads(p.stdout.readline())
    assert status in ((0, signal.SIGKILL) if where.startswith('time') else (signal.SIGKILL,) if where else (0,)), (where, status)

def lines(out): return [{k: v for k, v in r.items() if k != 'time'} for r in read_jsonl(out/'metrics.jsonl')]

def same(a, b, path=''):
    "Compare nested values to the last bit."
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert list(a) == list(b), path
        for k in a: same(a[k], b[k], f'{path}[{k!r}]')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)): same(x, y, f'{path}[{i}]')
    elif isinstance(a, torch.Tensor): assert torch.equal(a, b), path
    else: assert a == b, path

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork and SIGKILL')
@pytest.mark.parametrize('name', ['killed', 'hurried'])
def test_killed_at_any_moment(world, name):
    one, other = world/'undisturbed', world/name
    a, b = (load_file(d/'generator'/'generator.safetensors') for d in (one, other))
    same(a, b)
    assert any(t.abs().max() > 0 for k, t in a.items() if k == 'B')                      # it did learn
    assert lines(one) == lines(other) and [r['step'] for r in lines(one)] == [3, 6, 7, 9, 12, 14]
    for x, y in zip(list_checkpoints(one/'checkpoints'), list_checkpoints(other/'checkpoints')):
        assert x.name == y.name
        same(*(torch.load(p/'state.pt', weights_only=True) for p in (x, y)))
    assert {p.name for p in (other/'checkpoints').iterdir()} == {p.name for p in (one/'checkpoints').iterdir()}          # no leftovers
    assert {p.name for p in other.iterdir() if not p.name.startswith('.')} == {p.name for p in one.iterdir()}
    assert json.loads((other/'metadata.json').read_text())['status'] == 'completed'
