"""Section 4.3 of the paper, on photographs: VOC 2007 and CUB-200-2011 (`sets`), and AlexNet."""
