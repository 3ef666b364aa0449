"A tiny base with adapters on disk, made in a moment and always the same, and a program that embeds them."
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils.logging import disable_progress_bar

from llgbm.delta import compute_deltas
from llgbm.models import load_base
from llgbm.probes import create_generic_probes

disable_progress_bar()

def make_base(folder):
    "Save a random Qwen2 of four layers with a tokenizer."
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.train_from_iterator(create_generic_probes(), trainers.BpeTrainer(vocab_size=400, special_tokens=['<|end|>'], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    tok = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token='<|end|>', pad_token='<|end|>')
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(vocab_size=512, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2)).save_pretrained(folder)
    tok.save_pretrained(folder)

def make_adapters(base, folder, n):
    "Save `n` random PEFT adapters of the base, of one kind."
    for i in range(n):
        torch.manual_seed(i)
        m = get_peft_model(Qwen2ForCausalLM.from_pretrained(base), LoraConfig(r=4, lora_alpha=8, target_modules=['q_proj', 'v_proj', 'down_proj'], init_lora_weights=False))
        m.save_pretrained(folder/f'a{i:02}')

def load(base):
    "Load the base for one thread, unless it is loaded."
    torch.set_num_threads(1)
    return base if isinstance(base, tuple) else load_base(base, device='cpu')

def embed(base, adapters, cache_dir, max_batch_tokens=1, **kw):
    "Compute deltas; by default one adapter at a time, so that a batch's size can't change the last bit."
    return compute_deltas(*load(base), adapters, cache_dir=cache_dir, max_batch_tokens=max_batch_tokens, progress=False, **kw)
