// usage: external_model_probe FOLDER     loads the checkpoint with the families linked in, on the reference device;
// prints which one
#include <cstdio>

#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const auto device = corbel::make_reference_device();
  const std::vector<corbel::ModelFamily> families = corbel::linked_model_families();
  const auto loaded = corbel::load_text_model(arguments[1], *device, families);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  const corbel::TextModelInfo& info = loaded->model->info();
  std::printf("%s %d layers\n", info.family.c_str(), info.layers);
  return 0;
}
