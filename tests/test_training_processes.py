"Two processes train what one trains, to within rounding, and one of them writes."
import json, os, subprocess, sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from llgbm.files import read_jsonl, write_text
from training_world import make_world

HERE = Path(__file__).parent

PROGRAM = """
import json, sys
from pathlib import Path
from accelerate import PartialState
from llgbm.training import train
from training_world import load_world
root, out = map(Path, sys.argv[1:3])
config, base, dataset = load_world(root)
lines = []
for name, changes in json.loads(sys.argv[3]).items():
    r = train(config.change(changes), out/name, base, dataset, progress=False, on_log=lines.append)
    sums = [p.double().sum().item() for p in r.generator.parameters()]
    (out/f'{name}.{PartialState().process_index}.json').write_text(json.dumps(dict(sums=sums, rows=len(r.metrics), lines=len(lines), world=PartialState().num_processes)))
"""

RUNS = {'plain': {}, 'variance': {'training.lambda_variance': .5, 'training.gradient_accumulation': 2, 'training.delta_batch_size': 1}}

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "The same trainings by one process and by two."
    root = tmp_path_factory.mktemp('world')
    make_world(root, {'training.num_steps': 6, 'training.save_interval': 3, 'training.log_interval': 1, 'training.eval_interval': 6, 'generator.dropout': 0.})
    script = write_text(root/'program.py', PROGRAM)
    launch = ['-m', 'accelerate.commands.launch', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0', '--multi_gpu']
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(HERE), os.environ.get('PYTHONPATH')]))}
    for name, start in dict(one=[], two=launch).items():
        (root/name).mkdir()
        p = subprocess.run([sys.executable, *start, str(script), str(root), str(root/name), json.dumps(RUNS)], env=env, capture_output=True, text=True, timeout=200)
        assert p.returncode == 0, p.stderr[-4000:]
    return root

@pytest.mark.parametrize('run', RUNS)
def test_two_are_one(world, run):
    told = [json.loads((world/'two'/f'{run}.{i}.json').read_text()) for i in range(2)]
    assert all(t['world'] == 2 and t['rows'] == 6 for t in told) and told[1]['lines'] == 0          # the second one logs nothing
    assert told[0]['sums'] == told[1]['sums']                                                       # and has the same generator
    a, b = (load_file(world/n/run/'generator'/'generator.safetensors') for n in ('one', 'two'))
    for k in a: torch.testing.assert_close(a[k], b[k], atol=2e-5, rtol=1e-4)
    for x, y in zip(*(read_jsonl(world/n/run/'metrics.jsonl') for n in ('one', 'two'))):
        assert list(x) == list(y)
        for k in x:
            if k != 'time': assert abs(x[k] - y[k]) <= 2e-4 * max(1, abs(x[k])), (k, x, y)
    moved = load_file(world/'one'/run/'checkpoints'/'step_000003'/'generator'/'generator.safetensors')
    assert (a['B'] - moved['B']).abs().max() > 1e-4                                                 # they did learn

def test_batches_that_cannot_be_shared(world):
    from llgbm.dataset import load_dataset
    from training_world import load_world
    _, _, data = load_world(world)
    with pytest.raises(ValueError, match="training.batch_size: 4 conditions can't be shared equally by 3 processes"): data.batch(0).part(0, 3)
