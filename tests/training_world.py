"A world in which trainings take a moment: the lab's base, five of its tasks, and a teacher for each that has learned nothing."
import torch

from llgbm import lab
from llgbm.config import ExperimentConfig, get_config
from llgbm.dataset import load_dataset
from llgbm.lora import LoraBank

def make_world(root, changes={}):
    "Write tasks, teachers and a configuration."
    torch.set_num_threads(1)
    base, tasks = lab.load_lab(), lab.TRAIN_TASKS[:5]
    lab.write_tasks(root/'tasks', tasks, n_train=16, n_test=4, progress=False)
    bank = LoraBank.init(base.model, len(tasks), 2, lab.TARGETS['attention'])
    for B in bank.B.values(): B.normal_(std=.1, generator=torch.Generator().manual_seed(0))
    for i, t in enumerate(tasks): bank[i].save_pretrained(root/'teachers'/t.name/'0')
    settings = {'data_dir': str(root/'tasks'), 'checkpoint_folder': str(root/'teachers'), 'delta_cache_dir': str(root/'deltas'), 'held_out_tasks': [],
        'validation_tasks': [tasks[4].name], 'lora.rank': 2, 'lora.target_modules': lab.TARGETS['attention'], 'match.examples': 2, 'generator.size': 'S', 'generator.dropout': .1,
        'training.batch_size': 4, 'training.warmup_steps': 2, 'training.delta_every': 2} | {f'training.lambda_{k}': .1 for k in ('weight', 'delta', 'trajectory', 'kl', 'norm', 'head', 'consistency')}
    config = get_config('lab').change(settings | changes)
    config.save(root/'config.yaml')
    load_dataset(base, config, progress=False)                      # deltas and conditions are in their caches now
    return config

def load_world(root):
    "Return configuration, base and dataset."
    torch.set_num_threads(1)
    config, base = ExperimentConfig.load(root/'config.yaml'), lab.load_lab()
    return config, base, load_dataset(base, config, progress=False)
