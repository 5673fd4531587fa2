"""The networks that lthray brings as torch modules, by the same door as a user's own."""
