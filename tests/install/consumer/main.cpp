// usage: consumer FOLDER     what a program outside the tree does with the installed library: loads a checkpoint on the
// cpu
#include <cstdio>

#include "corbel/device/device_list.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const auto pool = corbel::ThreadPool::make(1);
  if (!pool) return 1;
  for (const corbel::DeviceEntry& entry : corbel::linked_devices()) {
    auto device = entry.make({}, **pool);
    if (!device) {
      std::fprintf(stderr, "%s\n", device.error().message.c_str());
      return 1;
    }
    const auto loaded = corbel::load_text_model(arguments[1], **device, corbel::linked_model_families());
    if (!loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
      return 1;
    }
    std::printf("%s %s\n", entry.name.c_str(), loaded->model->info().family.c_str());
  }
  return 0;
}
