"""Which engines are loaded when more of them are wanted than fit."""
