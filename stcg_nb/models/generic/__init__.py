"""Any decoder-only vision-language model of transformers behind the `Model` protocol, without code per family."""
