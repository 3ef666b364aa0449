"Ten thousand random calls from eight tasks, with files that vanish, adapters that are damaged, an engine that stumbles, and callers that give up: the books are right after each of them, and nothing is left over."
import asyncio, gc, logging, random, shutil, threading, tracemalloc
from dataclasses import replace

import pytest
import torch

from llgbm.generation import Request, Sampling, TransformersEngine
from llgbm.lab import load_lab
from llgbm.lora import LoraAdapter, LoraBank, concat
from llgbm.manager import AdapterManager, CapacityError, LoadedAdapter
from llgbm.models import model_fingerprint
from llgbm.registry import AdapterRegistry
from llgbm.router import AdapterRouter

DOMAINS, N, CALLS, TASKS = ('math', 'code', 'law'), 12, 10_000, 8
WORDS = dict(math='fractions', code='recursion', law='contracts')
GROUPS = dict(tone=['math/0', 'math/1', 'code/0'], length=['law/0', 'law/1'])
ASK = [Request(q, sampling=Sampling(do_sample=False, max_new_tokens=2)) for q in ('Work out 5 plus 4.', 'Who may sign?')]

class Injected(RuntimeError): 'A failure that was planned.'

class Faulty(TransformersEngine):
    'Stumbles now and then, and sees that it never holds more than it may.'
    def __init__(self, base, chance, room, max_bytes):
        super().__init__(base)
        self.chance, self.room, self.most, self.wrong = chance, room, max_bytes, []

    def stumble(self, share):
        if self.chance.random() < share: raise Injected('the engine stumbled')

    def load(self, adapter):
        self.stumble(.03)
        key = super().load(adapter)
        if len(self.loaded) > self.room or sum(self.loaded.values()) > self.most: self.wrong.append(dict(self.loaded))
        return key

    def answer(self, *args):
        self.stumble(.02)
        return super().answer(*args)

class World:
    'Adapters in two versions, what each says, and ways to spoil their files.'
    def __init__(self, base, root):
        self.base, self.root, self.names = base, root, [f'{DOMAINS[i % 3]}/{i // 3}' for i in range(N)]
        g, ranks = torch.Generator().manual_seed(0), [1, 2, 4]
        banks = {r: LoraBank.init(base.model, 2 * N, r, ['q_proj', 'down_proj'], seed=r) for r in ranks}
        banks = {r: replace(b, B={m: .3 * torch.randn(B.shape, generator=g) for m, B in b.B.items()}) for r, b in banks.items()}
        self.versions = {n: [replace(banks[ranks[i % 3]][2 * i + v], name=n) for v in (0, 1)] for i, n in enumerate(self.names)}
        self.said, self.engine = {}, TransformersEngine(load_lab())       # a model of its own: two can't attach to one at a time
        for n in self.names: self.write(n, 0)

    def write(self, name, version): self.versions[name][version].save_pretrained(self.root/name)

    def spoil(self, name, how):
        'Damage the files of an adapter in one of five ways.'
        folder, good = self.root/name, self.versions[name][0]
        if how == 'gone': return shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists(): return
        weights = folder/'adapter_model.safetensors'
        if how == 'missing': weights.unlink(missing_ok=True)
        if how == 'short' and weights.exists(): weights.write_bytes(weights.read_bytes()[:500])
        if how == 'nan': replace(good, pairs={m: p._replace(B=p.B * float('nan')) for m, p in good.pairs.items()}).save_pretrained(folder)
        if how == 'other': replace(good, base='gpt2').save_pretrained(folder)

    def texts(self, weights, request):
        'What may be said under these weights: a text for each choice of versions.'
        key = (*weights.items(), request.prompt)
        if key not in self.said:
            choices = [[]]
            for n, w in weights.items(): choices = [c + [(self.versions[n][v], w)] for c in choices for v in (0, 1)]
            sums = {str(i): concat([a for a, _ in c], [w for _, w in c]) if c else None for i, c in enumerate(choices)}
            self.said[key] = {g.tokens for g in self.engine.generate(request, sums)}
        return self.said[key]

def check(manager):
    'What must hold at every moment.'
    held = manager._held()
    assert len(held) <= manager.max_loaded and sum(e.adapter.nbytes for e in held) <= manager.max_bytes
    assert all(e.leases >= 0 for e in held) and all(e.name == n for n, e in manager._here.items())
    assert not manager.engine.wrong
    for names in GROUPS.values(): assert sum(n in names for n in manager.active) <= 1
    assert all(torch.isfinite(p.B).all() for e in held for p in e.adapter.pairs.values())

class Walker:
    'One of the tasks: does one random thing after the other.'
    def __init__(self, manager, router, world, seed, counts): self.manager, self.router, self.world, self.r, self.counts = manager, router, world, random.Random(seed), counts

    def some(self, k=1): return self.r.sample(self.world.names, k)
    def weights(self): return {n: self.r.choice([1, .5, -1]) for n in self.some(self.r.choice([0, 1, 1, 1, 2]))}

    async def load(self): await self.manager.load_adapter(*self.some(), pin=self.r.choice([None, False, True, True]))
    async def unload(self): await self.manager.unload_adapter(self.r.choice(self.manager.loaded or self.some()))
    async def swap(self): await self.manager.swap_adapter(self.r.choice(self.manager.loaded or self.some()), *self.some())
    async def activate(self): await self.manager.activate({n: self.r.choice([0, 0, 1, -.5]) for n in self.some(2)})
    async def unpin(self):
        for n in self.manager.loaded: await self.manager.load_adapter(n, pin=False)

    async def generate(self):
        weights, ask = self.weights(), self.r.choice(ASK)
        got = await self.manager.generate(ask, weights)
        assert len(got) == 1 and got[0].tokens in self.world.texts(weights, ask)

    async def default(self):
        got = await self.manager.generate(ASK)                    # whatever is active now
        assert [g.request for g in got] == [0, 1]

    async def route(self):
        'Let the router pick an adapter, and ask that one.'
        domain = self.r.choice(DOMAINS)
        routes = self.router.route(f'Something about {WORDS[domain]}, please.', top_k=1)
        weights = {r.name: 1 for r in routes}
        assert (await self.manager.generate(ASK[0], weights))[0].tokens in self.world.texts(weights, ASK[0])

    async def files(self):
        'Spoil files, or mend them; look again, or not.'
        name, how = *self.some(), self.r.choice(['gone', 'missing', 'short', 'nan', 'other', 0, 1, 0, 1, 0, 1, 0, 1])
        if isinstance(how, int): self.world.write(name, how)
        else: self.world.spoil(name, how)
        if self.r.random() < .7: self.manager.registry.rescan()

    async def step(self):
        calls = dict(load=14, unload=8, swap=12, activate=6, unpin=2, generate=34, default=6, route=10, files=8)
        name = self.r.choices(list(calls), calls.values())[0]
        task, outcome = asyncio.create_task(getattr(self, name)()), 'done'
        if self.r.random() < .12:
            await asyncio.sleep(self.r.choice([0, 0, .001, .003, .01]))
            task.cancel()
        try: await task
        except asyncio.CancelledError: outcome = 'cancelled'
        except CapacityError: outcome = 'no room'
        except Injected: outcome = 'injected'
        except (ValueError, FileNotFoundError) as e: outcome = type(e).__name__
        self.counts[name, outcome] = self.counts.get((name, outcome), 0) + 1
        check(self.manager)

    async def walk(self, n):
        for _ in range(n): await self.step()

async def still(manager):
    'Wait until nothing is under way.'
    while rest := asyncio.all_tasks() - {asyncio.current_task()}: await asyncio.wait(rest)

def alive(*kinds):
    gc.collect()
    return {k.__name__: sum(type(o) is k for o in gc.get_objects()) for k in kinds}

async def soak(manager, world, counts):
    'Walk with eight tasks, in two halves; return what was alive between them and after.'
    seen, router = [], AdapterRouter(manager.registry, ['keyword'], keywords={d: [w] for d, w in WORDS.items()}, threshold=.1)
    for half in range(2):
        await asyncio.wait_for(asyncio.gather(*(Walker(manager, router, world, 100 * half + i, counts).walk(CALLS // 2 // TASKS) for i in range(TASKS))), 900)
        await still(manager)
        check(manager)
        assert all(e.leases == 0 for e in manager._held()) and not (manager._leaving or manager._moving or manager._jobs)
        assert set(manager.engine.loaded) == {e.key for e in manager._held()}, 'the books and the engine differ'
        seen.append((alive(LoraAdapter, LoadedAdapter, asyncio.Task, asyncio.Future), tracemalloc.get_traced_memory()[0]))
    await manager.close()
    assert not asyncio.all_tasks() - {asyncio.current_task()}
    return seen

@pytest.fixture
def quiet():
    logging.getLogger('llgbm').setLevel(logging.ERROR)
    yield
    logging.getLogger('llgbm').setLevel(logging.NOTSET)

def test_ten_thousand_calls(tmp_path, quiet):
    'Capacity, bytes, groups and leases hold after each call; in the end nothing is loaded, leased, waiting or leaked, and the base is what it was.'
    base = load_lab()
    logits = lambda: base.model(**base.tokenizer('Work out 5 plus 4.', return_tensors='pt')).logits
    before, mark = logits(), model_fingerprint(base.model)
    world, counts, chance = World(base, tmp_path), {}, random.Random(1)
    size = max(v.nbytes for vs in world.versions.values() for v in vs)
    registry = AdapterRegistry(tmp_path, max_loaded=4, base=base)
    manager = AdapterManager(Faulty(base, chance, 4, 3 * size), registry, max_bytes=3 * size, groups=GROUPS)
    threads = threading.active_count()
    tracemalloc.start()
    try: first, last = asyncio.run(soak(manager, world, counts))
    finally: tracemalloc.stop()
    print(*sorted(counts.items()), first, last, sep='\n')
    assert sum(counts.values()) == CALLS // 2 // TASKS * 2 * TASKS
    for outcome in ('done', 'cancelled', 'no room', 'injected', 'AdapterError', 'FileNotFoundError', 'ValueError'): assert sum(n for (_, o), n in counts.items() if o == outcome), f'nothing was {outcome}'
    assert manager.loaded == [] and manager.engine.loaded == {} and manager.engine._kept[1] is None or not manager.engine._kept[0]
    assert torch.equal(logits(), before) and model_fingerprint(base.model) == mark
    held = lambda seen: seen[0]['LoraAdapter'] - seen[0]['LoadedAdapter']
    assert abs(held(last) - held(first)) <= 8, 'adapters leak'
    assert last[1] - first[1] < 1 << 20, 'memory grows'
    assert threading.active_count() <= threads + 2                  # idle ones of torch or the event loop
