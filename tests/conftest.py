import os
os.environ['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', '1')     # several processes share the cores
os.environ['HF_HUB_OFFLINE'] = '1'                                         # nothing is downloaded in a test
os.environ['TOKENIZERS_PARALLELISM'] = 'false'
