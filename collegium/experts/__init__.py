"""Answer: the engines that run experts and the clients that ask them."""
