"""Whether a router's decisions survive paraphrases and text that is written to change them."""
