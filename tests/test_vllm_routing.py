"The manager with a real vLLM underneath: adapters come and go there, and everybody gets what transformers would have said."
import asyncio, time
from dataclasses import replace

from llgbm.generation import Request, TransformersEngine
from llgbm.lab import lab_base_dir, load_lab
from llgbm.lora import concat
from llgbm.manager import AdapterManager
from llgbm.registry import AdapterRegistry
from llgbm.vllm_engine import EngineError, VLLMEngine, VLLMServer
from test_vllm import GREEDY, PROMPTS, python, random_adapters, server     # python and server are fixtures

ASK = [Request(p, plain=True, sampling=GREEDY) for p in PROMPTS[:2]]
WEIGHTS = [{}, dict(v2=1), dict(v2=-1), dict(v0=2, v4=1)]

async def drive(manager, want):
    'Ask, swap while requests run, ask again.'
    for _ in range(2):
        got = await asyncio.gather(*(manager.generate(ASK, w) for w in WEIGHTS))
        assert [[g.text for g in each] for each in got] == want
        assert {*manager.engine.loaded} == {e.key for e in manager._held()} and len(manager.loaded) == 3     # sums are gone
    running = asyncio.create_task(manager.generate(ASK, WEIGHTS[1]))
    await asyncio.sleep(.05)
    await manager.swap_adapter('v2', 'v3')
    assert [g.text for g in await running] == want[1]
    assert 'v3' in manager.loaded and 'v2' not in manager.loaded
    try: await manager.load_adapter('sick')
    except ValueError as e: assert 'NaN' in str(e)
    else: raise AssertionError('an adapter with NaN was loaded')
    assert [g.text for g in await manager.generate(ASK, WEIGHTS[3])] == want[3]

def prepare(folder):
    'Write adapters, a sick one among them; return a registry and what transformers says under each of the sums.'
    here = TransformersEngine(load_lab())
    adapters = {n: a for n, a in random_adapters(here.model).items() if n in ('v0', 'v2', 'v3', 'v4')}
    for n, a in adapters.items(): a.save_pretrained(folder/n)
    replace(adapters['v2'], pairs={m: p._replace(B=p.B * float('nan')) for m, p in adapters['v2'].pairs.items()}).save_pretrained(folder/'sick')
    sums = {str(i): concat([adapters[n] for n in w], [*w.values()]) if w else None for i, w in enumerate(WEIGHTS)}
    want = [here.generate(ASK, {k: s}).texts(k) for k, s in sums.items()]
    assert len({str(w) for w in want}) == len(want)
    return AdapterRegistry(folder, base=here.model), want

async def run(engine, registry, want):
    async with AdapterManager(engine, registry) as manager: await drive(manager, want)
    assert engine.loaded == {}

def test_manager_over_vllm(python, tmp_path):
    'Sums, swaps and refusals, with room for three adapters.'
    with VLLMEngine(lab_base_dir(), python, dtype='float32', device='cpu', max_adapters=8) as engine: asyncio.run(run(engine, *prepare(tmp_path)))

def test_manager_over_a_server(server, tmp_path):
    "The same through vLLM's HTTP interface."
    (url, process, log), end = server, time.time() + 300
    while True:
        try: engine = VLLMServer(lab_base_dir(), url, wide=32); break
        except EngineError:
            assert process.poll() is None and time.time() < end, log.read_text()[-3000:]
            time.sleep(1)
    with engine: asyncio.run(run(engine, *prepare(tmp_path)))
    assert list(engine.models()) == [engine.served]
