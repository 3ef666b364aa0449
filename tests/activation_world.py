"Activations of an adapter that doesn't exist: as many as a real one has, in the format of `activations_data.json`."
import numpy as np

MLP, ATTENTION = ('gate_proj', 'up_proj', 'down_proj'), ('q_proj', 'k_proj', 'v_proj', 'o_proj')
NASTY = ['<script>document.title="broken"</script>', '<img src=x onerror=alert(1)>', '</script><b id=evil>', '\u202eltr', '\u200f', '\ud83d', 'a\nb', '\n', '\t', '&amp;', '{{js}}', '', ' ', 'שלום', ' مرحبا', '\x00', "'\"`"]

def words(n, rng):
    "Pseudo-words as a tokenizer has them, some of them with the space before."
    syllables = [c + v for c in 'bcdfghjklmnprstvwz' for v in ('a', 'e', 'i', 'o', 'u', 'en', 'or')]
    return [' ' * (rng.random() < .7) + ''.join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(n)]

def example(rng, vocabulary, value, window):
    n = 2 * window + 1
    values = rng.normal(0, abs(value) / 5, n).clip(-abs(value), abs(value))
    values[window] = value
    ranks = np.minimum(rng.zipf(1.3, n), len(vocabulary)) - 1
    return dict(text=int(rng.integers(10_000)), position=int(rng.integers(2_000)), value=float(value), tokens=[vocabulary[i] for i in ranks], values=values.tolist(), target=window)

def direction(rng, vocabulary, ident, index, strength, k, window, side):
    values, count = rng.normal(.1, 1, 4000) * strength, int(rng.integers(100_000, 1_000_000))
    top = np.sort(values)[-k:][::-1], np.sort(values)[:k]
    hist, edges = np.histogram(values, 50)
    pairs = lambda sign: [[vocabulary[i], sign * float(s)] for i, s in zip(rng.integers(0, len(vocabulary), 10), np.sort(rng.random(10))[::-1])]
    return dict(id=ident, index=index, strength=float(strength), count=count, min=float(values.min()), max=float(values.max()), mean=float(values.mean()), std=float(values.std()), zero_crossings=float(rng.random()),
        quantiles={str(q): float(np.quantile(values, q)) for q in (.01, .1, .5, .9, .99)}, histogram=dict(edges=[float(edges[0]), float(edges[-1])], counts=(hist * count // 4000).tolist()),
        positive=[example(rng, vocabulary, v, window) for v in top[0]], negative=[example(rng, vocabulary, v, window) for v in top[1]],
        effects=dict(side=side, promoted=pairs(1), suppressed=pairs(-1)), cosines=[], importance=dict(share=float(strength ** 2 * rng.random() / 50), kl=float(rng.random() / 50), rank=0))

def activations(layers=2, projections=MLP + ATTENTION, rank=2, k=4, window=3, vocabulary=500, seed=0, nasty=False):
    "Made-up activations; with `nasty`, of texts that try to break a page."
    rng, modules = np.random.default_rng(seed), []
    vocabulary = words(vocabulary, rng)
    if nasty: vocabulary[:len(NASTY)] = NASTY
    for l in range(layers):
        for p in projections:
            kind = 'mlp' if p in MLP else 'attention'
            name = lambda i: f'layer_{l}_{p}' + (f'_d{i}' if rank > 1 else '')
            modules.append(dict(module=f'model.layers.{l}.{"mlp" if kind == "mlp" else "self_attn"}.{p}', layer=l, proj=p, kind=kind,
                directions=[direction(rng, vocabulary, name(i), i, 4 * .8 ** i * rng.uniform(.5, 1.5), k, window, 'output' if p in ('o_proj', 'down_proj') else 'input') for i in range(rank)]))
    every = [d for m in modules for d in m['directions']]
    for r, d in enumerate(sorted(every, key=lambda d: -d['importance']['share']), 1): d['importance']['rank'] = r
    for d in every: d['cosines'] = [[every[i]['id'], float(c)] for i, c in zip(rng.integers(0, len(every), 5), rng.uniform(-1, 1, 5))]
    title = '<b id=evil>made up</b>\u202e' if nasty else 'made up'
    return dict(version=1, base='Qwen/Qwen2.5-1.5B', adapter=dict(name=title, fingerprint=f'{seed:016x}', rank=rank), directions='canonical' if rank > 1 else 'rows', dataset=dict(name='made-up texts', texts=10_000, tokens=2_000_000, duplicates=12),
        settings=dict(top_k=k, context_window=window, bins=50, special_tokens=False, chat=False, max_length=2048), modules=modules)
