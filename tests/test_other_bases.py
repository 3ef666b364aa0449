"Generators don't know the lab: the same experiment on bases of other families, with grouped queries, Conv1D weights and bfloat16."
import pytest, torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from llgbm import lab
from llgbm.config import get_config
from llgbm.experiments import evaluate_job, generate_job, train_job
from llgbm.functional_lora import attach
from llgbm.lora import LoraAdapter, LoraBank
from llgbm.models import load_base

KINDS = dict(
    llama=(lambda v: LlamaForCausalLM(LlamaConfig(vocab_size=v, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        pad_token_id=0, bos_token_id=None, eos_token_id=2)), ['q_proj', 'v_proj', 'down_proj']),
    gpt2=(lambda v: GPT2LMHeadModel(GPT2Config(vocab_size=v, n_embd=64, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=2, pad_token_id=0)), ['c_attn', 'c_proj']))

def make_world(root, kind):
    "A random base, random teachers of four tasks (one of another rank), five tasks on disk."
    make, targets = KINDS[kind]
    tok = lab.load_lab().tokenizer
    torch.manual_seed(0)
    make(len(tok)).save_pretrained(root/'base')
    tok.save_pretrained(root/'base')
    base = load_base(root/'base', 'float32', 'cpu')
    lab.write_tasks(root/'tasks', lab.TASKS[:5], 24, 8, progress=False)
    for i, t in enumerate(lab.TASKS[:4]):
        bank = LoraBank.init(base.model, 1, 8 if i == 1 else 4, targets, seed=i, names=[t.name])
        for B in bank.B.values(): B.normal_(std=.05)
        bank[0].save_pretrained(root/'teachers'/t.name/'0')
    return base, targets

@pytest.mark.parametrize('kind, dtype', [('llama', 'float32'), ('gpt2', 'float32'), ('llama', 'bfloat16')])
def test_experiment_on_another_base(tmp_path, kind, dtype):
    base, targets = make_world(tmp_path, kind)
    config = get_config('decision').change({'model.base_model': str(tmp_path/'base'), 'model.dtype': dtype, 'lora.rank': 4, 'lora.alpha': 8, 'lora.target_modules': targets,
        'checkpoint_folder': str(tmp_path/'teachers'), 'data_dir': str(tmp_path/'tasks'), 'delta_cache_dir': str(tmp_path/'deltas'), 'held_out_tasks': [lab.TASKS[4].name],
        'training.num_steps': 6, 'training.learning_rate': 3e-4, 'training.warmup_steps': 0, 'training.lambda_weight': .1, 'training.lambda_trajectory': .1, 'training.lambda_kl': .1,
        'training.lambda_delta': .1, 'training.log_interval': 1, 'training.gradient_checkpointing': dtype == 'float32', 'training.mixed_precision': 'no' if dtype == 'float32' else 'bf16'})
    result = train_job(config, tmp_path/'run', device='cpu', progress=False)
    losses = result.metrics.loss
    assert result.steps == 6 and losses.iloc[-1] < losses.iloc[0]
    report = evaluate_job(tmp_path/'run', n=4, repeats=1, device='cpu', progress=False)
    assert {'base', 'ridge of teachers', 'decision'} <= set(report.summary.index)
    made = LoraAdapter.from_pretrained(generate_job('Answer twice.', tmp_path/'run', tmp_path/'made', device='cpu'))
    made.validate(base.model)
    ids = base.tokenizer('Tell me.', return_tensors='pt').input_ids
    with torch.no_grad():
        bare = base.model(ids).logits
        with attach(base.model, made): assert (base.model(ids).logits - bare).abs().max() > 1e-4
