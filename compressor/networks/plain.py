"""Networks without shortcuts: VGG-16-BN and airbench for CIFAR, LeNet-300-100 and Caffe's LeNet-5 for MNIST."""

from torch import Tensor, nn

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0 is a 2x2 max pool
AIRBENCH_STEM, AIRBENCH = 24, (64, 256, 256)  # channels of the first layer, and of the three blocks


class Vgg16(nn.Module):
    """VGG-16 (Simonyan and Zisserman 2015, configuration D) with BatchNorm and one linear layer, for 32x32 pictures."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for channels in VGG16:
            if channels == 0:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            in_channels = channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


class Airbench(nn.Module):
    """The network of Jordan 2024 ("94% on CIFAR-10 in 3.29 Seconds on a Single GPU", section 3) with ReLU for GELU and
    a first layer that is learnt, for 32x32 pictures: 1.97 million parameters that learn in few epochs, as a teacher."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, AIRBENCH_STEM, 2), nn.ReLU()]
        in_channels = AIRBENCH_STEM
        for channels in AIRBENCH:
            layers += [_identity_like(in_channels, channels), nn.MaxPool2d(2, 2), nn.BatchNorm2d(channels), nn.ReLU()]
            layers += [_identity_like(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()]
            in_channels = channels
        self.features = nn.Sequential(*layers, nn.MaxPool2d(3, 3))
        self.classifier = nn.Linear(in_channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


def _identity_like(in_channels: int, channels: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters pass the inputs on (Zagoruyko and Komodakis 2017, "DiracNets")."""
    layer = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
    nn.init.dirac_(layer.weight[:in_channels])
    return layer


class LeNet300(nn.Module):
    """LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, fully connected, 266,610 parameters."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.ip1 = nn.Linear(784, 300)
        self.ip2 = nn.Linear(300, 100)
        self.ip3 = nn.Linear(100, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.ip1(images.flatten(1)).relu()
        return self.ip3(self.ip2(hidden).relu())


class LeNet5(nn.Module):
    """Caffe's LeNet-5: 20 and 50 filters of 5x5, 500 hidden units, 431,080 parameters."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.ip1 = nn.Linear(800, 500)
        self.ip2 = nn.Linear(500, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.pool(self.conv2(self.pool(self.conv1(images))))
        return self.ip2(self.ip1(hidden.flatten(1)).relu())
