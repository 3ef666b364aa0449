"`llgbm train`, started as two processes, makes the lab's teachers once, trains what one process trains, and speaks once."
import os, subprocess, sys

import pytest
import torch
from safetensors.torch import load_file

from llgbm.files import read_jsonl
from repository import BIN

LAUNCH = [sys.executable, '-m', 'accelerate.commands.launch', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0', '--multi_gpu']

def train(root, out, *launch):
    "Train on two of the lab's tasks, in a moment."
    changes = {'checkpoint_folder': root/'teachers', 'data_dir': root/'tasks', 'delta_cache_dir': root/f'deltas_{out}', 'teachers': 'math/shout/0, legal/json/0', 'held_out_tasks': '[]', 'condition.variants': 3,
        'training.num_steps': 4, 'training.batch_size': 2, 'training.save_interval': 2, 'training.log_interval': 1, 'match.examples': 4}
    cmd = [*launch, BIN/'llgbm', 'train', '--config', 'lab', '--device', 'cpu', '--output_dir', root/out, '--seed', 3, '--set', *(f'{k}={v}' for k, v in changes.items())]
    return subprocess.run([*map(str, cmd)], capture_output=True, text=True, timeout=300, env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''})

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "The same command with two processes in an empty folder, and then with one."
    root, stamps = tmp_path_factory.mktemp('world'), {}
    ran = {}
    for name, launch in dict(two=LAUNCH, one=[]).items():
        ran[name] = train(root, name, *launch)
        assert ran[name].returncode == 0, ran[name].stderr[-4000:]
        stamps[name] = {p.relative_to(root): p.stat().st_mtime_ns for p in root.glob('t*s/**/*') if p.is_file()}
    return root, ran, stamps

def test_speaks_once(world):
    _, ran, _ = world
    for name, r in ran.items(): assert [r.stdout.count(s) for s in ('4 steps in', 'generator in', 'learning_rate')] == [1, 1, 1], (name, r.stdout)
    assert ran['two'].stderr.count('2 adapters: 100%') == 1 and '2 adapters' not in ran['one'].stderr

def test_teachers_are_made_once(world):
    root, _, stamps = world
    assert len([p for p in stamps['two'] if p.name == 'adapter_model.safetensors']) == 2 and stamps['one'] == stamps['two']

def test_two_are_one(world):
    root, *_ = world
    a, b = (load_file(root/n/'generator'/'generator.safetensors') for n in ('one', 'two'))
    for k in a: torch.testing.assert_close(a[k], b[k], atol=2e-5, rtol=1e-4)
    assert a['B'].abs().max() > 1e-4                                                                # it did learn
    for x, y in zip(*(read_jsonl(root/n/'metrics.jsonl') for n in ('one', 'two'))): assert x['step'] == y['step'] and abs(x['loss'] - y['loss']) < 1e-4 * max(1, x['loss'])
